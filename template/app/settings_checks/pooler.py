"""Works behind a pooler that gives each transaction another connection to PostgreSQL. Template-owned.

Such are Supabase's port 6543 and PgBouncer with `pool_mode = transaction`. A prepared statement stays with
the connection that made it, and asyncpg numbers its statements, so the next transaction would miss its
statement or find that of another client. DATABASE_URL with `?pgbouncer=true`, or with
`?prepared_statement_cache_size=0`, keeps none and gives each a name of its own. That costs a round trip for
each query, so leave it out where the pooler knows prepared statements (Neon, PgBouncer 1.21 or newer with
`max_prepared_statements`).
"""

from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Engine, event


def allow_poolers() -> None:
    """Prepare every engine of this process for such a DATABASE_URL, those of commands and migrations
    included. The settings call it, because every engine gets its URL from them."""
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
