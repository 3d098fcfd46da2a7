"""A feature with a table, `ledger`, which is planted in a copy of the template.

docs/releasing.md lists the places that the feature touches.
"""

from pathlib import Path

NAME = "ledger"
TABLE = "ledger_entries"

_QUESTION = """ledger:
  type: bool
  ask: false
  help: Do you want a ledger, in which users see what they owe?
  default: false

project_slug:
"""
_EXCLUDE = """  - "{% if not ledger | default(false) %}/app/ledger{% endif %}"
  - "{% if not ledger | default(false) %}/tests/ledger{% endif %}"

_message_after_copy"""
_FEATURE = """
ledger:
  does: What each user owes.
  needs: []
"""
_PACKAGE = '''"""A ledger: what each user owes."""

from app.ledger.models import Entry
from app.web import App

__all__ = ["Entry"]


def install(app: App) -> None:
    """There are no routes yet."""
'''
_MODELS = '''"""The table of entries."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Entry(Base):
    """What a user owes."""

    __tablename__ = "ledger_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"))
    cents: Mapped[int]
'''
_MIGRATION = '''"""ledger: the entries. Template-owned: released revisions never change."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = ("users_0001",)


def upgrade() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_ledger_entries_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
    )


def downgrade() -> None:
    op.drop_table("ledger_entries")
'''
_TESTS = '''"""The ledger has a table."""

from app.ledger import Entry


def test_the_ledger_has_a_table() -> None:
    assert Entry.__tablename__ == "ledger_entries"
'''
_FILES = {
    "template/app/ledger/__init__.py": _PACKAGE,
    "template/app/ledger/models.py": _MODELS,
    "template/app/ledger/migrations/ledger_0001_initial.py": _MIGRATION,
    "template/tests/ledger/test_ledger.py": _TESTS,
}
_LOCATION = '    "%(here)s/app/mail/migrations",\n'
_CHANGES = {
    "copier.yml": (("project_slug:\n", _QUESTION), ("\n_message_after_copy", _EXCLUDE)),
    "template/pyproject.toml.jinja": ((_LOCATION, _LOCATION.replace("mail", NAME) + _LOCATION),),
}


def plant(template: Path) -> Path:
    """Add the feature to a copy of this repository, and return it."""
    for name, content in _FILES.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(content, "utf-8")
    for name, replacements in _CHANGES.items():
        text = (template / name).read_text("utf-8")
        for old, new in replacements:
            assert text.count(old) == 1, f"{name} has {text.count(old)} places with {old!r}"
            text = text.replace(old, new)
        (template / name).write_text(text, "utf-8")
    features = template / "features.yml"
    features.write_text(features.read_text("utf-8") + _FEATURE, "utf-8")
    return template
