"""users: indexes for the list of accounts, its filters and its search, and for the clean-up. Template-owned.

The indexes are built in the migration's transaction, which blocks writes to these tables: for seconds with a
million accounts. To avoid that on PostgreSQL, build the indexes beforehand with CREATE INDEX CONCURRENTLY
under the same names. Existing indexes are kept.

The search index for parts of addresses needs the pg_trgm extension, which comes with PostgreSQL. If the
database user may not create the extension, or SQL is only printed, the search still reads every account. Once
an administrator has created the extension, run the statement in `_create_search_index` by hand.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "users_0007"
down_revision = "users_0006"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_users_created_at_id", "users", ["created_at", "id"]),
    ("ix_users_superusers", "users", ["created_at", "id"]),
    ("ix_users_disabled", "users", ["created_at", "id"]),
    ("ix_users_unverified", "users", ["created_at", "id"]),
    ("ix_users_must_reset_password", "users", ["created_at", "id"]),
    ("ix_users_to_be_deleted", "users", ["delete_after", "id"]),
    ("ix_user_sessions_expires_at", "user_sessions", ["expires_at"]),
    ("ix_user_sessions_last_seen_at", "user_sessions", ["last_seen_at"]),
)
# Both databases use such an index only for a query that has the same condition, written in the same way.
_CONDITIONS = {
    "ix_users_superusers": sa.column("is_superuser", sa.Boolean()).is_(True),
    "ix_users_disabled": sa.column("is_active", sa.Boolean()).is_(False),
    "ix_users_unverified": sa.column("is_verified", sa.Boolean()).is_(False),
    "ix_users_must_reset_password": sa.column("must_reset_password", sa.Boolean()).is_(True),
    "ix_users_to_be_deleted": sa.column("delete_after", sa.DateTime()).is_not(None),
}
_SEARCH = "ix_users_email_trigrams"
"""No model declares this index, and `migrations/env.py` leaves it out of comparisons, because not every
database can have it."""


def upgrade() -> None:
    for name, table, columns in _INDEXES:
        condition = _CONDITIONS.get(name)
        op.create_index(
            name,
            table,
            columns,
            if_not_exists=True,
            postgresql_where=condition,
            sqlite_where=condition,
        )
    if op.get_context().dialect.name == "postgresql":
        _create_search_index()


def _create_search_index() -> None:
    if context.is_offline_mode():
        return
    op.execute("DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm; EXCEPTION WHEN OTHERS THEN NULL; END $$")
    # The extension may be in a schema that is not in the search path.
    schema = sa.text("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'")
    found = op.get_bind().scalar(schema)
    if found is not None:
        # Otherwise each search would read a list of pending entries in full, and its time would vary.
        how = f"USING gin (email {found}.gin_trgm_ops) WITH (fastupdate = off)"
        op.execute(f"CREATE INDEX IF NOT EXISTS {_SEARCH} ON users {how}")
        # With the default of 100, PostgreSQL can expect far too many matches. It then reads the accounts in
        # the order of the list and compares each address.
        op.execute("ALTER TABLE users ALTER COLUMN email SET STATISTICS 1000")


def downgrade() -> None:
    # The extension stays, because other tables may use it.
    if op.get_context().dialect.name == "postgresql":
        op.drop_index(_SEARCH, table_name="users", if_exists=True)
        op.execute("ALTER TABLE users ALTER COLUMN email SET STATISTICS -1")
    for name, table, _ in reversed(_INDEXES):
        op.drop_index(name, table_name=table)
