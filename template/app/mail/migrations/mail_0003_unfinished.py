"""mail: how many attempts ended without a result, because the worker died. Template-owned."""

import sqlalchemy as sa
from alembic import op

revision = "mail_0003"
down_revision = "mail_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("mail_outbox") as outbox:
        outbox.add_column(sa.Column("unfinished", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("mail_outbox") as outbox:
        outbox.drop_column("unfinished")
