"""app: the start of your own revisions. This file is yours: template updates never touch it.

It changes nothing. It opens the branch `app`, to which `uv run app db revision -m "..."` adds your
migrations, and names the template's tables that yours may refer to. If you remove one of the template's
features from the project, also remove its name from `depends_on`.
"""

revision = "app_0001"
down_revision = None
branch_labels = ("app",)
depends_on = ("users_0001", "mail_0001")


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
