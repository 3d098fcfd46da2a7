"""app: where your own revisions begin. This file is yours: template updates never touch it.

This revision changes nothing. It starts the branch `app`, to which `uv run app db revision -m "..."` adds
your changes. `depends_on` names the revisions that create the template's tables, so that your tables can
refer to them. If you remove a template feature from the project, remove its revision from `depends_on`.
"""

revision = "app_0001"
down_revision = None
branch_labels = ("app",)
depends_on = ("users_0001", "mail_0001")


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
