"""The URL of a PostgreSQL server as its host hands it out, in the words that asyncpg takes.

What stands after its ? is written for libpq, the library of psql. Template-owned.
"""

import os
from collections.abc import Iterable

from sqlalchemy import URL

ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
"""Values of sslmode that refuse a server without TLS. Only verify-full makes sure which server it is."""
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
"""What asyncpg and SQLAlchemy understand as text."""

_WITHOUT_EFFECT = frozenset(
    {
        "application_name",
        "channel_binding",  # A second proof beside TLS, which asyncpg cannot give; verify-full is the first.
        "client_encoding",
        "connect_timeout",  # The application waits for 10 seconds.
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
"""What libpq knows and asyncpg does not, and can be left out without harm."""

_IN_THE_ENVIRONMENT = {
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
}
"""What asyncpg reads from the environment only."""


def for_asyncpg(url: URL) -> URL:
    """*url* with libpq's sslmode as ssl, and without what has no effect.

    Raises:
        ValueError: it has a parameter that would fail at the first connection; the text names no value.
    """
    query = {name: value for name, value in url.query.items() if name not in _WITHOUT_EFFECT}
    for name, variable in _IN_THE_ENVIRONMENT.items():
        if name in query:
            raise ValueError(f"must not have {name}: set {variable} in the environment instead")
    if "sslmode" in query:
        if "ssl" in query:
            raise ValueError("must have one of ssl and sslmode, not both")
        query["ssl"] = query.pop("sslmode")
    if "ssl" in query and query["ssl"] not in _MODES:
        raise ValueError(
            "must have ssl or sslmode once, as disable, allow, prefer, require, verify-ca or verify-full"
        )
    if not query.keys() <= set(_KNOWN):
        raise ValueError(f"must have nothing after the ? but sslmode, {', '.join(_KNOWN)}")
    return url if query == dict(url.query) else url.set(query=query)


def is_encrypted(url: URL) -> bool:
    """Whether a server without TLS would be refused."""
    return url.query.get("ssl") in ENCRYPTED


def hosts_of(url: URL) -> list[str]:
    """Where *url* leads to; where it names no host, what asyncpg takes from the environment."""
    in_query = url.query.get("host", ())
    named: Iterable[str] = (in_query,) if isinstance(in_query, str) else in_query
    hosts = [*filter(None, [url.host]), *(_without_port(each) for each in named)]
    # A service of pg_service.conf may lead anywhere: its name stands for a host that nothing is known of.
    return hosts or [str(url.query.get("service") or os.environ.get("PGHOST", ""))]


def _without_port(host: str) -> str:
    """`[::1]:5432`, `db.example.org:5432` or the folder of a socket, as SQLAlchemy takes several hosts."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.startswith("/") or host.count(":") > 1 else host.partition(":")[0]
