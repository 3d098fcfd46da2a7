"""mail: whose a mail is, what it is about, and when the link in it expires. Template-owned."""

import sqlalchemy as sa
from alembic import op

revision = "mail_0002"
down_revision = "mail_0001"
branch_labels = None
depends_on = "users_0001"


def upgrade() -> None:
    with op.batch_alter_table("mail_outbox") as outbox:
        outbox.add_column(sa.Column("user_id", sa.String(length=36), nullable=True))
        outbox.add_column(sa.Column("subject", sa.Text(), server_default="", nullable=False))
        outbox.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
        outbox.create_foreign_key(
            op.f("fk_mail_outbox_user_id_users"), "users", ["user_id"], ["id"], ondelete="CASCADE"
        )
    op.create_index(op.f("ix_mail_outbox_user_id"), "mail_outbox", ["user_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_mail_outbox_user_id"), table_name="mail_outbox")
    with op.batch_alter_table("mail_outbox") as outbox:
        outbox.drop_constraint(op.f("fk_mail_outbox_user_id_users"), type_="foreignkey")
        outbox.drop_column("expires_at")
        outbox.drop_column("subject")
        outbox.drop_column("user_id")
