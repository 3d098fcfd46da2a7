"""Support for poolers that give each transaction another connection to PostgreSQL. Template-owned.

Examples are Supabase's port 6543 and PgBouncer with `pool_mode = transaction`. A prepared statement stays
with the connection that made it, and asyncpg names statements by number. So the next transaction would not
find its statement, or would find another client's. With `?pgbouncer=true` or
`?prepared_statement_cache_size=0` in DATABASE_URL, statements are not kept and have unique names. That costs
a round trip per query, so leave it out if the pooler supports prepared statements (Neon, PgBouncer 1.21 or
newer with `max_prepared_statements`).
"""

from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Engine, event


def allow_poolers() -> None:
    """Prepare every engine in this process for such a DATABASE_URL, including those of commands and
    migrations. The settings call it, because every engine gets its URL from them."""
    if not event.contains(Engine, "do_connect", _keep_no_statements):
        event.listen(Engine, "do_connect", _keep_no_statements)


def is_behind_pooler(url: URL) -> bool:
    """Whether DATABASE_URL says so. Neither LISTEN nor a prepared statement outlives a transaction there."""
    return url.query.get("prepared_statement_cache_size") == "0"


def _keep_no_statements(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
    if options.get("prepared_statement_cache_size") == 0:
        # SQLAlchemy reads only the first of the three from a URL.
        options.setdefault("statement_cache_size", 0)
        options.setdefault("prepared_statement_name_func", _unique_name)


def _unique_name() -> str:
    return f"__asyncpg_{uuid4()}__"
