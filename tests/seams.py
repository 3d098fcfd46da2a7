"""Every seam of the template: where it is, and what a user would add there. This list must match `template/`.

A seam is a comment that no version changes. The template adds lines above it and users add lines below, so
they never conflict. The line after a seam also stays the same (`contract.py`): git would treat a change to it
as a change to the users' lines. With all samples, a project is still valid and its tests pass.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PHRASE = "go below; template updates never touch them."


@dataclass(frozen=True)
class Seam:
    """A place where users add their own lines."""

    path: str
    """The path in a generated project."""
    things: str
    own: str
    """Lines that a user adds below it."""
    another: str = ""
    """Lines that a later version adds above the seam, if they cannot be *own* under another name."""

    @property
    def sentence(self) -> str:
        return f"Your own {self.things} {PHRASE}"

    @property
    def shipped(self) -> str:
        """Lines that a later version of the template adds above it."""
        renamed = self.own
        for name, other in (("own", "shipped"), ("Own", "Shipped"), ("OWN", "SHIPPED")):
            renamed = renamed.replace(name, other)
        return self.another or renamed

    def add_own(self, text: str) -> str:
        """*text*, the file's content, with the sample below the seam."""
        above, seam, below = self._parts(text)
        return above + seam + self.own + below

    def add_shipped(self, text: str) -> str:
        """*text*, the file's content, with the other sample above the seam."""
        above, seam, below = self._parts(text)
        if self.things == "imports":
            return _before_other_imports(above, self.shipped) + seam + below
        return above + self.shipped + seam + below

    def _parts(self, text: str) -> tuple[str, str, str]:
        lines = text.splitlines(keepends=True)
        [at] = [number for number, line in enumerate(lines) if self.sentence in line]
        # An import seam has a second line, which keeps ruff from sorting both sides together.
        end = at + 2 if self.things == "imports" else at + 1
        return "".join(lines[:at]), "".join(lines[at:end]), "".join(lines[end:])


def _before_other_imports(text: str, line: str) -> str:
    """*text* with *line* where ruff would sort an `import` whose name starts with an a."""
    first = re.search(r"^(?:import|from) (\w+)", text, re.MULTILINE)
    gap = "" if first[1] in sys.stdlib_module_names else "\n"
    return text[: first.start()] + line + gap + text[first.start() :]


def add_own_lines(project: Path) -> None:
    """Add a line at every seam in *project*, and the migration that one of them needs."""
    _change(project, Seam.add_own)
    base = "app_0002" if (project / "migrations/versions/app_0002_notes.py").exists() else "app_0001"
    (project / "migrations/versions/app_0003_own.py").write_text(OWN_REVISION.format(base=base))


def add_shipped_lines(folder: Path) -> None:
    """Add a line above every seam in *folder*, a project or `template/`. The new column has no migration."""
    _change(folder, Seam.add_shipped)


def _change(folder: Path, add: Callable[[Seam, str], str]) -> None:
    for seam in SEAMS:
        for path in (folder / seam.path, folder / f"{seam.path}.jinja"):
            if path.exists():
                path.write_text(add(seam, path.read_text("utf-8")), "utf-8")


OWN_REVISION = '''"""columns of your own"""

import sqlalchemy as sa
from alembic import op

revision = "app_0003"
down_revision = "{base}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("own_color", sa.String(length=20), nullable=True))
    label = sa.Column("own_label", sa.String(length=20), server_default="none", nullable=False)
    with op.batch_alter_table("user_sessions") as sessions:
        sessions.add_column(label)


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_column("own_color")
    with op.batch_alter_table("user_sessions") as sessions:
        sessions.drop_column("own_label")
'''


SHIPPED_REVISION = '''"""users: columns of the template"""

import sqlalchemy as sa
from alembic import op

revision = "users_0008"
down_revision = "users_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("shipped_color", sa.String(length=20), nullable=True))
    label = sa.Column("shipped_label", sa.String(length=20), server_default="none", nullable=False)
    with op.batch_alter_table("user_sessions") as sessions:
        sessions.add_column(label)


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_column("shipped_color")
    with op.batch_alter_table("user_sessions") as sessions:
        sessions.drop_column("shipped_label")
'''
"""The migration for the columns that the template adds, if no other revision adds them."""


TEMPLATE = Path(__file__).resolve().parent.parent / "template"
_TEST = """

def test_own() -> None:
    assert "own".isalnum()
"""
_FIXTURE = """

@pytest.fixture
def own() -> str:
    \"""Something of your own.\"""
    return "own"
"""


def _imports(path: str) -> Seam:
    return Seam(path, "imports", "import decimal as decimal\n", "import abc as abc\n")


def _route(name: str, router: str = "router") -> Seam:
    return Seam(
        f"app/users/routes/{name}.py",
        "routes",
        f'''

@{router}.get("/own/{name}", include_in_schema=False, status_code=204)
async def own_{name}() -> None:
    """Nothing yet."""
''',
    )


def _mail(path: str) -> Seam:
    return Seam(path, "lines", "<p>Own words.</p>\n" if path.endswith(".html") else "\nOwn words.\n")


def _at_the_end_of_tests() -> Iterator[Seam]:
    """A seam at the end of every test file. The example's test files are copied once and need none."""
    for path in sorted((TEMPLATE / "tests").rglob("*.py")):
        name = path.relative_to(TEMPLATE).as_posix()
        if path.name.startswith("test_") and not name.startswith("tests/notes/"):
            yield Seam(name, "tests", _TEST)
        elif path.name == "conftest.py":
            yield Seam(name, "fixtures", _FIXTURE)


SEAMS = [
    # The account
    _imports("app/users/models.py"),
    Seam(
        "app/users/models.py",
        "columns",
        "    own_color: Mapped[str | None] = mapped_column(String(20), default=None)\n",
    ),
    Seam(
        "app/users/models.py",
        "session columns",
        '    own_label: Mapped[str] = mapped_column(String(20), default="none", server_default="none")\n',
    ),
    _imports("app/users/schemas.py"),
    Seam("app/users/schemas.py", "public fields", '    own_badge: str = "none"\n'),
    Seam("app/users/schemas.py", "fields", "    own_color: str | None = None\n"),
    Seam(
        "app/users/schemas.py",
        "profile fields",
        "    own_color: str | msgspec.UnsetType | None = msgspec.UNSET\n",
    ),
    Seam("app/users/schemas.py", "fields for superusers", '    own_remark: str = ""\n'),
    Seam(
        "app/users/schemas.py",
        "fields that superusers change",
        "    own_color: str | msgspec.UnsetType | None = msgspec.UNSET\n",
    ),
    Seam(
        "app/users/schemas.py",
        "schemas",
        "\n\nclass OwnThing(msgspec.Struct):\n    name: str\n",
    ),
    *[
        Seam("app/users/schemas.py", things, '    own_label: str = "none"\n')
        for things in (
            "login fields",
            "cookie login fields",
            "token fields",
            "fields of a login response",
            "session fields",
        )
    ],
    _imports("app/users/manager.py"),
    Seam("app/users/manager.py", "hooks", "    on_after_own: UserHook = no_hook\n"),
    Seam(
        "app/users/manager.py",
        "methods",
        '''
    async def own(self, session: AsyncSession, user: User) -> None:
        """Nothing yet."""
''',
        '''
    async def shipped(self, session: AsyncSession, user: User) -> None:
        """Nothing yet."""

''',
    ),
    Seam(
        "app/users/exceptions.py",
        "exceptions",
        '\n\nclass OwnError(ValueError):\n    """Something of this application."""\n',
    ),
    _imports("app/users/routes/error_handlers.py"),
    Seam(
        "app/users/routes/error_handlers.py",
        "answers",
        """
    @app.exception_handler(ZeroDivisionError)
    async def own(request: Request, error: ZeroDivisionError) -> Response:
        return Problem(400, "Nothing can be divided by zero.").to_response()

    _ = own
""",
    ),
    _imports("app/users/dependencies.py"),
    Seam("app/users/dependencies.py", "guards", "\n\nOwnUser = Annotated[User, Depends(current_user)]\n"),
    Seam("app/users/rate_limits.py", "rows", '    "own_route": Limit(ip="20/h"),\n'),
    Seam("app/users/passwords/policy.py", "columns", '    "own_name",\n'),
    Seam(
        "app/users/passwords/policy.py",
        "rules",
        """    if password.endswith("own own own"):
        raise InvalidPassword("The password must not end with own own own.")
""",
    ),
    Seam("app/services.py", "services", '    own: "str"\n'),
    _imports("app/users/emails.py"),
    Seam(
        "app/users/emails.py",
        "mails",
        '\n\nasync def mail_own(user: User) -> None:\n    """Nothing yet."""\n',
    ),
    *[
        _mail(f"app/users/emails/{name}.{ending}")
        for name in ("email_change", "invitation", "notice", "password_reset", "verify")
        for ending in ("html", "txt")
    ],
    _mail("app/users/emails/footer.txt"),
    Seam("app/users/emails/layout.html", "styles", ".own { color: #57606a; }\n"),
    Seam("app/users/emails/layout.html", "rows", '<tr><td class="quiet">Own words.</td></tr>\n'),
    _mail("app/email_login/emails/login_code.html"),
    _mail("app/email_login/emails/login_code.txt"),
    _imports("app/users/__init__.py"),
    Seam("app/users/__init__.py", "routers", '            Router(prefix="/own"),\n'),
    _imports("app/users/routes/account.py"),
    _route("account"),
    _imports("app/users/routes/admin.py"),
    _imports("app/pages/routes/admin.py"),
    _imports("app/pages/routes/admin_audit.py"),
    _imports("app/pages/routes/admin_invitations.py"),
    _imports("app/pages/routes/admin_mails.py"),
    Seam("app/pages/templates/admin/page.html", "pages", '<li><a href="/admin/own">Own</a></li>\n'),
    _route("admin"),
    _imports("app/users/routes/lifecycle.py"),
    _route("lifecycle"),
    _imports("app/users/routes/registration.py"),
    _route("registration", 'routers["open"]'),
    _imports("app/users/routes/sessions.py"),
    _route("sessions"),
    # Pages
    _imports("app/pages/__init__.py"),
    Seam("app/pages/__init__.py", "pages", '        type(home.router)(prefix="/own"),\n'),
    _imports("app/pages/forms.py"),
    Seam("app/pages/forms.py", "exceptions", "    LookupError,\n", "    ArithmeticError,\n"),
    Seam("app/pages/forms.py", "fields", '    own_color: str = ""\n'),
    Seam("app/pages/forms.py", "profile fields", '    own_color: str = ""\n'),
    Seam(
        "app/pages/templates/profile.html",
        "fields",
        """{{ field("own_color", "Own color", value=values["own_color"], required=false) }}\n""",
    ),
    Seam(
        "app/pages/templates/register.html",
        "fields",
        """{{ field("own_color", "Own color", value=own_color, required=false, autocomplete="off") }}\n""",
    ),
    _imports("app/pages/events.py"),
    Seam("app/pages/events.py", "events", '        "own": _("Something of its own"),\n'),
    Seam("app/pages/messages.py", "messages", '        "own": _("Something of its own."),\n'),
    *[
        _imports(f"app/pages/routes/{name}.py")
        for name in (
            "account",
            "credentials",
            "login",
            "password_reset",
            "profile",
            "registration",
            "sessions",
        )
    ],
    # The application
    _imports("app/settings.py"),
    Seam(
        "app/settings.py",
        "validators",
        "\n\ndef own_text(value: str) -> str:\n    return value.strip()\n\n",
    ),
    Seam("app/settings.py", "mail backends", '            "own",\n'),
    Seam(
        "app/settings.py",
        "settings",
        '    own_greeting: Annotated[str, Field(description="Said to whoever comes.")] = "Hello"\n',
    ),
    Seam(
        "app/settings.py",
        "rules for production",
        """    if settings.app_name == "own":
        yield "APP_NAME: own is only for development."
""",
    ),
    Seam(".env.example", "settings", "\n# Said to whoever comes.\n# OWN_GREETING=Hello\n"),
    _imports("app/mail/backends.py"),
    Seam("app/mail/backends.py", "backends", '        case "own":\n            return InMemoryBackend()\n'),
    _imports("app/main.py"),
    Seam("app/main.py", "middleware classes", '    app.state.own = "own"\n'),
    _imports("app/cli/__init__.py"),
    Seam(
        "app/cli/__init__.py",
        "commands",
        '''

@cli.command()
@friendly_errors
def own() -> None:
    """Say hello."""
    typer.echo("Hello")
''',
    ),
    Seam(
        "app/cli/users.py",
        "commands",
        '''

@cli.command()
@friendly_errors
def own(email: Email) -> None:
    """Say hello to somebody."""
    typer.echo(f"Hello {email}")
''',
    ),
    _imports("tests/conftest.py"),
    Seam("tests/conftest.py", "production settings", '    "OWN_GREETING": "Hello",\n'),
    *_at_the_end_of_tests(),
    # Other files
    Seam("pyproject.toml", "dependencies", '    "packaging>=24",\n', '    "idna>=3.10,<4",\n'),
    Seam("pyproject.toml", "scripts", 'own = "app.cli:main"\n'),
    Seam("pyproject.toml", "tools", '    "pluggy>=1.6",\n', '    "iniconfig>=2,<3",\n'),
    Seam("pyproject.toml", "options", 'junit_family = "xunit2"\n', 'console_output_style = "classic"\n'),
    Seam("pyproject.toml", "exceptions", '    "RUF005",\n', '    "RUF015",\n'),
    Seam("pyproject.toml", "files", '"app/own.py" = ["S"]\n'),
    Seam("pyproject.toml", "tables", '\n[tool.own]\nname = "own"\n'),
    Seam(".gitignore", "patterns", "/own/\n"),
    Seam(".dockerignore", "patterns", "own\n"),
    Seam("compose.yaml", "variables", "    OWN_GREETING: Hello\n"),
    _imports("app/pages/mail_previews.py"),
    Seam(
        "app/pages/mail_previews.py",
        "previews",
        '    "own": lambda user: mail_notice(user, "new_sign_in"),\n',
    ),
    Seam("app/cli/sample_data.py", "rows", "    own = len(people)\n    del own\n"),
    Seam("compose.yaml", "services", "  own:\n    image: redis:7\n"),
    Seam("compose.yaml", "volumes", "  own:\n"),
    Seam("compose.production.yaml", "variables", "    OWN_GREETING: Hello\n"),
    Seam("compose.production.yaml", "services", "  own:\n    image: redis:7\n"),
    Seam("compose.production.yaml", "volumes", "  own:\n"),
    Seam("Caddyfile", "directives", "\theader X-Own Hello\n"),
    Seam("Dockerfile", "packages for building", "RUN apt-get update && apt-get install --yes own\n"),
    Seam("Dockerfile", "system packages", "RUN apt-get update && apt-get install --yes own\n"),
    Seam(".github/workflows/ci.yml", "services", "      own:\n        image: redis:7\n"),
    Seam(".github/workflows/ci.yml", "variables", "      OWN_GREETING: Hello\n"),
    Seam(".github/workflows/ci.yml", "steps", "      - run: echo own\n"),
    Seam(
        ".github/workflows/ci.yml",
        "jobs",
        "  own:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo own\n",
    ),
    Seam(".github/workflows/image.yml", "steps", "      - run: echo own\n"),
    Seam(
        ".github/workflows/image.yml",
        "jobs",
        "  own:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo own\n",
    ),
    Seam(
        ".github/dependabot.yml",
        "updates",
        "  - package-ecosystem: npm\n    directory: /own\n    schedule:\n      interval: weekly\n",
    ),
    Seam(
        ".pre-commit-config.yaml",
        "hooks",
        "      - id: own\n        name: own\n        entry: echo own\n        language: system\n",
    ),
    Seam(".gitlab-ci.yml", "services", "    - name: redis:7\n      alias: own\n"),
    Seam(".gitlab-ci.yml", "variables", "    OWN_GREETING: Hello\n"),
    Seam(".gitlab-ci.yml", "steps", "    - echo own\n"),
    Seam(".gitlab-ci.yml", "jobs", "own:\n  script:\n    - echo own\n"),
    Seam("AGENTS.md", "modules", "- `app/own/`: something of this application.\n"),
    Seam("AGENTS.md", "rules", "- An own rule.\n"),
    Seam(
        "SECURITY.md",
        "sections",
        """
## Of this application

| what | address | account | pair | browser | and then |
|---|---|---|---|---|---|
| `own_route` | 20/h | | | | |
""",
    ),
]
