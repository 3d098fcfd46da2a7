"""email_login: requests for a code. Template-owned: released revisions never change."""

import sqlalchemy as sa
from alembic import op

revision = "email_login_0001"
down_revision = None
branch_labels = ("email_login",)
depends_on = ("users_0001",)


def upgrade() -> None:
    op.create_table(
        "login_codes",
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("code_mac", sa.String(length=64), nullable=False),
        sa.Column("address_mac", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("password_version", sa.Integer(), nullable=False),
        sa.Column("user_agent", sa.String(length=512), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_login_codes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("request_hash", name=op.f("pk_login_codes")),
    )
    op.create_index(op.f("ix_login_codes_user_id"), "login_codes", ["user_id"])


def downgrade() -> None:
    op.drop_table("login_codes")
