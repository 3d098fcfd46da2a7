"""mail_webhooks: mailboxes that get no mail. Template-owned: released revisions never change."""

import sqlalchemy as sa
from alembic import op

revision = "mail_webhooks_0001"
down_revision = None
branch_labels = ("mail_webhooks",)
depends_on = ("users_0001",)


def upgrade() -> None:
    op.create_table(
        "bounced_mailboxes",
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_bounced_mailboxes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("email", name=op.f("pk_bounced_mailboxes")),
    )
    op.create_index(op.f("ix_bounced_mailboxes_user_id"), "bounced_mailboxes", ["user_id"])


def downgrade() -> None:
    op.drop_table("bounced_mailboxes")
