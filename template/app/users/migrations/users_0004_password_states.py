"""users: wrong passwords in a row, and whether a new password must be set. Template-owned."""

import sqlalchemy as sa
from alembic import op

revision = "users_0004"
down_revision = "users_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("failed_logins", sa.Integer(), server_default="0", nullable=False))
        users.add_column(sa.Column("must_reset_password", sa.Boolean(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_column("must_reset_password")
        users.drop_column("failed_logins")
