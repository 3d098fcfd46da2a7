"""Converts the PostgreSQL URL that a hosting provider gives you into one that asyncpg accepts.

Providers write the URL's query parameters for libpq (the library behind psql) or for Prisma. Template-owned.
"""

import os
from collections.abc import Iterable

from sqlalchemy import URL

from app.settings_checks import pooler

pooler.allow_poolers()

ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
"""Values of sslmode that reject a server without TLS. Only verify-full checks the server's identity."""
_MODES = frozenset({"disable", "allow", "prefer", *ENCRYPTED})

_KNOWN = (
    "command_timeout",
    "database",
    "direct_tls",
    "gsslib",
    "host",
    "krbsrvname",
    "passfile",
    "password",
    "port",
    "prepared_statement_cache_size",
    "service",
    "ssl",
    "target_session_attrs",
    "user",
)
"""Parameters that asyncpg and SQLAlchemy accept as strings."""

_WITHOUT_EFFECT = frozenset(
    {
        "application_name",
        "channel_binding",  # asyncpg does not support it; use verify-full to check the server.
        "client_encoding",
        "connect_timeout",  # DATABASE_TIMEOUT replaces it.
        "connection_limit",  # Prisma's pool size. DATABASE_POOL_SIZE replaces it.
        "fallback_application_name",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "pool_timeout",  # Prisma's. DATABASE_TIMEOUT replaces it.
        "sslcompression",
        "sslsni",  # asyncpg always sends the host name.
        "tcp_user_timeout",
        "uselibpqcompat",  # For node-postgres: makes sslmode work as in libpq, as it always does here.
    }
)
"""Parameters that asyncpg does not support and that are safe to drop."""

_IN_THE_ENVIRONMENT = {
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
}
"""Parameters that asyncpg reads only from the environment."""


_NO_STATEMENTS_KEPT = ("prepared_statement_cache_size", "0")
"""`pooler.py` explains what this parameter does."""


def for_asyncpg(url: URL) -> URL:
    """Rename libpq's sslmode to ssl, translate pgbouncer, and drop parameters that have no effect.

    Raises:
        ValueError: a parameter would make the first connection fail. The message does not reveal any values.
    """
    query = {name: value for name, value in url.query.items() if name not in _WITHOUT_EFFECT}
    for name, variable in _IN_THE_ENVIRONMENT.items():
        if name in query:
            raise ValueError(f"must not have {name}: set {variable} in the environment instead")
    _translate_pooler(query)
    _drop_endpoint(query, url.host or "")
    _drop_default_schema(query)
    if "sslmode" in query:
        if "ssl" in query:
            raise ValueError("must not have both ssl and sslmode")
        query["ssl"] = query.pop("sslmode")
    if "ssl" in query and query["ssl"] not in _MODES:
        raise ValueError(
            "must have ssl or sslmode at most once,"
            " set to disable, allow, prefer, require, verify-ca or verify-full"
        )
    if not query.keys() <= set(_KNOWN):
        raise ValueError(f"has an unknown parameter after the ?; use only sslmode, {', '.join(_KNOWN)}")
    return url if query == dict(url.query) else url.set(query=query)


def _translate_pooler(query: dict[str, str | tuple[str, ...]]) -> None:
    """Translate `pgbouncer=true` (Supabase, Prisma), which indicates a pooler."""
    match query.pop("pgbouncer", None):
        case None | "false":
            return
        case "true":
            name, value = _NO_STATEMENTS_KEPT
            query[name] = value
        case _:
            raise ValueError("must have pgbouncer at most once, set to true or false")


def _drop_endpoint(query: dict[str, str | tuple[str, ...]], host: str) -> None:
    """Drop `options=endpoint=ep-…` if it matches the host name. Neon needs the option only for clients that
    do not send the host name in the TLS handshake, and asyncpg sends the host name."""
    options = query.get("options")
    if options is None:
        return
    if not isinstance(options, str) or not options.startswith("endpoint=") or " " in options:
        raise ValueError(
            "must not have options, except endpoint=…: run ALTER ROLE … SET … in the database instead"
        )
    if host.partition(".")[0].removesuffix("-pooler") != options.removeprefix("endpoint="):
        raise ValueError(
            "must have a host that begins with the endpoint in options, such as"
            " ep-cool-name-123456.eu-central-1.aws.neon.tech"
        )
    del query["options"]


def _drop_default_schema(query: dict[str, str | tuple[str, ...]]) -> None:
    """Drop Prisma's `schema=public`, which is PostgreSQL's default."""
    if query.get("schema") == "public":
        del query["schema"]
    elif "schema" in query:
        raise ValueError(
            "must not have a schema parameter other than schema=public: run ALTER ROLE … SET search_path = …"
            " in the database instead"
        )


def is_encrypted(url: URL) -> bool:
    """Whether the connection fails if the server does not offer TLS.

    If the URL has no TLS parameter, asyncpg reads the mode from the environment. Heroku needs this, because
    its URL lacks the parameter and cannot be edited.
    """
    return url.query.get("ssl", os.environ.get("PGSSLMODE")) in ENCRYPTED


def hosts_of(url: URL) -> list[str]:
    """The hosts in *url*. If there are none, the host that asyncpg reads from the environment."""
    in_query = url.query.get("host", ())
    named: Iterable[str] = (in_query,) if isinstance(in_query, str) else in_query
    hosts = [*filter(None, [url.host]), *(_without_port(each) for each in named)]
    # A service in pg_service.conf can point anywhere, so treat its name as an unknown host.
    return hosts or [str(url.query.get("service") or os.environ.get("PGHOST", ""))]


def _without_port(host: str) -> str:
    """*host* without its port. If there are several hosts, SQLAlchemy writes each as `[::1]:5432`,
    `db.example.org:5432` or a socket directory."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.startswith("/") or host.count(":") > 1 else host.partition(":")[0]
