"""Finds connections that leave this machine without TLS. Production rejects them (ASVS 12.3.1).
Template-owned."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import make_url

from app.settings_checks import postgresql

if TYPE_CHECKING:
    from app.settings import Settings


def unencrypted(settings: "Settings") -> Iterator[str]:
    """One message for each connection whose traffic could be read or changed in transit."""
    database = make_url(settings.database_url.get_secret_value())
    if database.get_backend_name() == "postgresql" and not postgresql.is_encrypted(database):
        hosts = postgresql.hosts_of(database)
        remedy = "end in ?ssl=require or ?ssl=verify-full"
        for sentence in _sentence("DATABASE_URL", remedy, settings, *hosts):
            yield (
                f"{sentence} If your hosting provider sets DATABASE_URL, set PGSSLMODE=require in the"
                " environment."
            )
    if settings.redis_url is not None:
        redis = make_url(settings.redis_url.get_secret_value())
        if redis.drivername.lower() == "redis":
            yield from _sentence("REDIS_URL", "begin with rediss://", settings, redis.host or "")
    dsn = settings.sentry_dsn.get_secret_value() if settings.sentry_dsn else ""
    for name, url in (("OTLP_ENDPOINT", settings.otlp_endpoint), ("SENTRY_DSN", dsn)):
        parts = urlsplit(url)
        if parts.scheme == "http":
            yield from _sentence(name, "begin with https://", settings, parts.hostname or "")
    if settings.mail_backend == "smtp" and settings.smtp_security == "none":
        if settings.smtp_password is not None:
            yield "SMTP_SECURITY: must be starttls or tls if SMTP_PASSWORD is set."
        else:
            yield from _sentence("SMTP_SECURITY", "be starttls or tls", settings, settings.smtp_host)


def _sentence(name: str, remedy: str, settings: "Settings", *hosts: str) -> Iterator[str]:
    if not all(is_local(host) or host.lower() in settings.plaintext_hosts for host in hosts):
        yield (
            f"{name}: must {remedy} in production because the connection leaves this machine; if the host"
            " is on a private network that you trust, add it to PLAINTEXT_HOSTS."
        )


def is_local(host: str) -> bool:
    """Whether *host* is this machine: empty, a directory (Unix socket), localhost or a loopback address."""
    if not host or host.startswith("/") or host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
