"""Version 1.1.0 of the template: a typical security fix, made in a clone for the tests.

Two functions and a test change, a column is added with its migration, and a function is added above a similar
one. In this last case, the default settings of `copier update` fail.
"""

from pathlib import Path

from conftest import commit

from .edits import added, after, at_the_end, instead

FIXED = "app/users/user_agents.py"
FIX = 'return "".join(character for character in word if character.isprintable())'
"""What `FIXED` must contain in a project after the update."""
SENTENCE = "Security: what a browser calls itself can no longer hold control characters"
"""The changelog entry of the fix."""

VERSION = "1.1.0"
TESTS = (
    "tests/users/test_user_agents.py",
    "tests/users/test_session_list.py",
    "tests/users/test_emails.py",
    "tests/users/test_change_password.py",
    "tests/users/test_password_reset.py",
)
"""The tests that the fix can affect."""

LOOK_ALIKE = "mail_email_change"
"""The function in `app/users/emails.py` above which a similar one is added."""

_REMINDER = '''async def mail_email_change_reminder(user: User, new_email: str, token: str) -> None:
    """Put another mail with the link that makes *new_email* the account's address into the outbox."""
    services = services_of(user)
    settings = services.settings
    values = {
        "email_change_url": _link(settings.email_change_url, token),
        "lifetime": in_words(settings.email_change_ttl),
        **_common(session_of(user), user.id),
    }
    # No user_id: a taken address gets no e-mail, and the export must not show the difference (CWE-204).
    mailer = services.mail.for_session(session_of(user), lifetime=settings.email_change_ttl)
    subject = f"Your new e-mail address for {settings.app_name} waits to be confirmed"
    await _send(mailer, new_email, subject, "email_change.html", values)


'''
_FIRST_WORD = f"""

def _first_word(user_agent: str) -> str:
    word = re.split(r"[\\s/.:@]", user_agent.strip(), maxsplit=1)[0]
    {FIX}
"""
_MIGRATION = '''"""users: when the password was changed. Template-owned."""

import sqlalchemy as sa
from alembic import op

revision = "users_0008"
down_revision = "users_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_column("password_changed_at")
'''

EDITS = [
    instead(
        FIXED,
        're.split(r"[\\s/.:@]", user_agent.strip(), maxsplit=1)[0]',
        "_first_word(user_agent)",
    ),
    at_the_end(FIXED, _FIRST_WORD),
    after(
        "tests/users/test_user_agents.py",
        '("Not you? Call 0800 555 and tell us your password", "Not"),',
        '("ok\\x1b[31mhttp\\x00/4.12.0", "ok[31mhttp"),',
    ),
    instead(
        "app/users/emails.py",
        f"@in_language_of_user\nasync def {LOOK_ALIKE}(",
        f"{_REMINDER}@in_language_of_user\nasync def {LOOK_ALIKE}(",
    ),
    instead(
        "app/users/models.py",
        "\n    # Your own columns go below",
        "    password_changed_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)\n"
        '    """When its owner last set another one."""\n'
        "\n    # Your own columns go below",
    ),
    instead(
        "app/users/manager.py",
        "            hashed_password=await self.hasher.hash(password),\n"
        "            password_version=user.password_version + 1,\n",
        "            hashed_password=await self.hasher.hash(password),\n"
        "            password_version=user.password_version + 1,\n"
        "            password_changed_at=clock.now(),\n",
    ),
    added("app/users/migrations/users_0008_password_changed_at.py", _MIGRATION),
]


def release_fix(template: Path) -> None:
    """Add version 1.1.0 to a clone of this repository."""
    for edit in EDITS:
        edit.make(template / "template")
    changelog = template / "CHANGELOG.md"
    news = f"{SENTENCE} (`{FIXED}`), and `users.password_changed_at` is new (`users_0008`)."
    entry = f"## {VERSION}\n\n- {news}\n\n"
    first = "## Unreleased\n\n"
    changelog.write_text(changelog.read_text("utf-8").replace(first, entry + "## 1.0.0\n\n", 1), "utf-8")
    commit(template, "A security fix", tag=VERSION)
