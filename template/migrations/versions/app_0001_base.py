"""app: where your own revisions begin. Yours: template updates never touch this file.

Changes nothing. It opens the branch `app`, onto which `uv run app db revision -m "..."` puts what you
change, and names the template's tables that yours may refer to. Should a feature of the template be removed
from the project, take its name out of `depends_on`.
"""

revision = "app_0001"
down_revision = None
branch_labels = ("app",)
depends_on = ("users_0001", "mail_0001")


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
