"""Converts the PostgreSQL URL that a hosting provider gives you into one that asyncpg accepts.

Providers write the query parameters for libpq, the library behind psql. Template-owned.
"""

import os
from collections.abc import Iterable

from sqlalchemy import URL

ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
"""Values of sslmode that refuse a server without TLS. Only verify-full checks the server's identity."""
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
"""Parameters that asyncpg and SQLAlchemy accept as text."""

_WITHOUT_EFFECT = frozenset(
    {
        "application_name",
        "channel_binding",  # asyncpg does not support it; use verify-full to check the server.
        "client_encoding",
        "connect_timeout",  # The application always waits 10 seconds.
        "fallback_application_name",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""libpq parameters that asyncpg does not know and that are safe to drop."""

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


def for_asyncpg(url: URL) -> URL:
    """Rename libpq's sslmode to ssl and drop parameters that have no effect.

    Raises:
        ValueError: a parameter would fail at the first connection. The message contains no values.
    """
    query = {name: value for name, value in url.query.items() if name not in _WITHOUT_EFFECT}
    for name, variable in _IN_THE_ENVIRONMENT.items():
        if name in query:
            raise ValueError(f"must not have {name}: set {variable} in the environment instead")
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
        raise ValueError(f"has an unknown parameter after the ?; allowed are sslmode, {', '.join(_KNOWN)}")
    return url if query == dict(url.query) else url.set(query=query)


def is_encrypted(url: URL) -> bool:
    """Whether the connection fails if the server does not offer TLS."""
    return url.query.get("ssl") in ENCRYPTED


def hosts_of(url: URL) -> list[str]:
    """The hosts of *url*; if it names none, the host that asyncpg reads from the environment."""
    in_query = url.query.get("host", ())
    named: Iterable[str] = (in_query,) if isinstance(in_query, str) else in_query
    hosts = [*filter(None, [url.host]), *(_without_port(each) for each in named)]
    # A service in pg_service.conf can point anywhere, so treat its name as an unknown host.
    return hosts or [str(url.query.get("service") or os.environ.get("PGHOST", ""))]


def _without_port(host: str) -> str:
    """SQLAlchemy's forms for several hosts: `[::1]:5432`, `db.example.org:5432` or a socket directory."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.startswith("/") or host.count(":") > 1 else host.partition(":")[0]
