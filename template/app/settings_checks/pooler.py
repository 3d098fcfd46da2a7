"""Support for poolers that give each transaction a different PostgreSQL connection. Template-owned.

Examples are Supabase's port 6543 and PgBouncer with `pool_mode = transaction`. A prepared statement belongs
to the connection that created it, and asyncpg names its statements with a counter. As a result, the next
transaction might not find its statement, or might find another client's. With `?pgbouncer=true` or
`?prepared_statement_cache_size=0` in DATABASE_URL, statements are not cached and have unique names. This
costs a round trip per query, so omit the parameter if the pooler supports prepared statements (Neon,
PgBouncer 1.21 or newer with `max_prepared_statements`).
"""

from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Engine, event


def allow_poolers() -> None:
    """Make every engine in this process support these poolers, including in commands and migrations.

    Called when the settings are imported, because every engine gets its URL from the settings.
    """
    if not event.contains(Engine, "do_connect", _keep_no_statements):
        event.listen(Engine, "do_connect", _keep_no_statements)


def is_behind_pooler(url: URL) -> bool:
    """Whether *url* indicates a pooler in which LISTEN and prepared statements last only one transaction."""
    return url.query.get("prepared_statement_cache_size") == "0"


def _keep_no_statements(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
    if options.get("prepared_statement_cache_size") == 0:
        # SQLAlchemy reads only the first of these three options from a URL, so the others are set here.
        options.setdefault("statement_cache_size", 0)
        options.setdefault("prepared_statement_name_func", _unique_name)


def _unique_name() -> str:
    return f"__asyncpg_{uuid4()}__"
