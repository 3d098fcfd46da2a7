"""In production, connections to other machines require TLS (ASVS 12.3.1).

Elsewhere, they use it if configured.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from app.cli import cli
from app.settings import Settings
from app.settings_checks.encryption import is_local
from app.settings_checks.postgresql import hosts_of

PRODUCTION = {
    "environment": "production",
    "secret_key": sha256(b"the secret of the tests").hexdigest(),
    "base_url": "https://app.example.com",
    "mail_backend": "smtp",
    "mail_sender": "app@example.com",
    "smtp_host": "smtp.example.com",
    "smtp_security": "starttls",
}
LOCAL = ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"]


def production(**changes: object) -> Settings:
    return Settings(_env_file=None, **PRODUCTION | changes)  # type: ignore[call-arg]


def refusal(**changes: object) -> str:
    """The only error message when production refuses to start."""
    with pytest.raises(ValidationError) as caught:
        production(**changes)
    [error] = caught.value.errors()
    assert "\n" not in error["msg"]
    return error["msg"]


# What production rejects


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@db.example.com/app",
        "postgresql://u:hunter2@10.0.0.7/app",
        "postgresql://u:hunter2@postgres/app",
        "postgresql://u:hunter2@localhost.example.com/app",
        "postgresql://u:hunter2@db.example.com/app?ssl=prefer",
        "postgresql://u:hunter2@db.example.com/app?sslmode=allow",
        "postgresql://u:hunter2@/app?host=db.example.com:5432",
        "postgresql://u:hunter2@/app?host=127.0.0.1:5432&host=db.example.com:5432",
        "postgresql://u:hunter2@127.0.0.1/app?host=db.example.com:5432",
        "postgresql://u:hunter2@/app?service=db",
    ],
)
def test_a_remote_database_requires_tls(url: str):
    """Checklist 40."""
    sentence = refusal(database_url=url)

    assert "DATABASE_URL: must end in ?ssl=require or ?ssl=verify-full in production" in sentence
    assert "hunter2" not in sentence


def test_a_mode_in_the_environment_counts(monkeypatch: pytest.MonkeyPatch):
    """asyncpg uses PGSSLMODE if the URL has no ssl parameter. Heroku's URL has none and cannot be edited."""
    url = "postgres://u:hunter2@db.example.com/app"
    assert refusal(database_url=url).endswith(
        "If your hosting provider sets DATABASE_URL, set PGSSLMODE=require in the environment."
    )

    monkeypatch.setenv("PGSSLMODE", "require")

    assert production(database_url=url)
    assert "?ssl=require" in refusal(database_url=f"{url}?ssl=prefer")


def test_a_host_named_by_the_environment_counts(monkeypatch: pytest.MonkeyPatch):
    """asyncpg uses PGHOST if the URL names no host."""
    monkeypatch.setenv("PGHOST", "db.example.com")

    assert "DATABASE_URL: " in refusal(database_url="postgresql:///app")


@pytest.mark.parametrize("url", ["redis://cache.example.com", "redis://u:hunter2@10.0.0.7:6379/0"])
def test_a_remote_redis_requires_tls(url: str):
    """Checklist 40."""
    sentence = refusal(redis_url=url)

    assert "REDIS_URL: must begin with rediss:// in production" in sentence
    assert "hunter2" not in sentence


def test_a_remote_mail_server_requires_tls():
    """Checklist 40: e-mailed links are secrets, even if the mail server requires no login."""
    assert "SMTP_SECURITY: must be starttls or tls in production" in refusal(smtp_security="none")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("otlp_endpoint", "http://collector.example.com:4318"),
        ("otlp_endpoint", "HTTP://collector.example.com"),
        ("sentry_dsn", "http://hunter2@sentry.example.com/1"),
    ],
)
def test_a_remote_collector_or_sentry_server_requires_tls(name: str, url: str):
    """Traces contain statements, and error reports contain log lines."""
    sentence = refusal(**{name: url})

    assert f"{name.upper()}: must begin with https:// in production" in sentence
    assert "hunter2" not in sentence
    assert production(**{name: url.lower().replace("http:", "https:")})


def test_a_mail_password_requires_tls_even_locally():
    """Checklist 40."""
    changes = {"smtp_host": "127.0.0.1", "smtp_security": "none", "smtp_password": "hunter2"}

    assert "SMTP_SECURITY: must be starttls or tls if SMTP_PASSWORD is set" in refusal(**changes)


# What production accepts


@pytest.mark.parametrize("host", LOCAL)
def test_the_local_machine_needs_no_tls(host: str):
    assert production(
        database_url=f"postgresql://{host}/app",
        redis_url=f"redis://{host}/0",
        smtp_host=host.strip("[]"),
        smtp_security="none",
        otlp_endpoint=f"http://{host}:4318",
        sentry_dsn=f"http://key@{host}/1",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"database_url": "postgresql:///app"},
        {"database_url": "postgresql:///app?host=/var/run/postgresql"},
        {"database_url": "postgresql:///app?host=/var/run/postgresql:5432"},
        {"database_url": "sqlite:////srv/app.db"},
        {"redis_url": "unix:///run/redis.sock"},
    ],
    ids=str,
)
def test_sockets_and_files_need_no_tls(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]):
    monkeypatch.delenv("PGHOST", raising=False)

    assert production(**changes)


@pytest.mark.parametrize("parameter", ["ssl", "sslmode"])
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_options_of_asyncpg_and_libpq_are_accepted(parameter: str, mode: str):
    settings = production(database_url=f"postgresql://db.example.com/app?{parameter}={mode}")

    url = make_url(settings.database_url.get_secret_value())
    assert url.query == {"ssl": mode}


def test_remote_redis_and_mail_are_accepted_with_tls():
    assert production(redis_url="rediss://cache.example.com", smtp_security="tls")


def test_a_listed_host_may_be_used_without_tls():
    """Such a host may be in a container network, for example."""
    assert production(
        database_url="postgresql://Postgres/app",
        redis_url="redis://redis/0",
        smtp_host="10.0.0.7",
        smtp_security="none",
        otlp_endpoint="http://Collector:4318",
        sentry_dsn="http://key@sentry:9000/1",
        plaintext_hosts="postgres, Redis,10.0.0.7,collector,sentry",
    )


def test_only_the_listed_host_may_be_used_without_tls():
    changes = {"database_url": "postgresql://postgres/app", "redis_url": "redis://redis/0"}

    assert "REDIS_URL: " in refusal(**changes, plaintext_hosts="postgres")


def test_no_host_is_listed_by_default():
    assert production().plaintext_hosts == []


def test_development_needs_no_tls():
    settings = production(environment="development", redis_url="redis://redis/0", smtp_security="none")

    assert settings.environment == "development"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "192.168.0.1", "host.docker.internal", "127.1"]
)
def test_hosts_that_only_look_local_require_tls(host: str):
    assert not is_local(host)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://db.example.com:5433/app", ["db.example.com"]),
        ("postgresql://[2001:db8::1]:5433/app", ["2001:db8::1"]),
        ("postgresql:///app?host=[2001:db8::1]:5433", ["2001:db8::1"]),
        ("postgresql:///app?host=2001:db8::1", ["2001:db8::1"]),
        ("postgresql:///app?host=a:1&host=b:2", ["a", "b"]),
        ("postgresql:///app?host=/var/run/postgresql", ["/var/run/postgresql"]),
    ],
)
def test_every_host_of_a_database_url_is_checked(url: str, hosts: list[str]):
    assert hosts_of(make_url(url)) == hosts


# TLS is used when requested


class ServerWithoutTLS:
    """A fake PostgreSQL server that declines TLS and records everything that it receives."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.received.append(connection.recv(8))
                connection.sendall(b"N")
                self.received.append(connection.recv(65_536))

    def all_received(self) -> set[bytes]:
        """Everything that clients sent. They must have disconnected."""
        self.close()
        return set(self.received)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[ServerWithoutTLS]:
    server = ServerWithoutTLS()
    yield server
    server.close()


SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
"""The client's first message (PostgreSQL's documentation, 54.7)."""


@pytest.mark.parametrize("parameter", ["ssl=require", "sslmode=require&channel_binding=require"])
async def test_the_application_refuses_a_database_without_tls(
    server: ServerWithoutTLS, build_app, parameter: str
):
    """ASVS 12.3.1: the driver requests TLS and sends neither user name nor password without it."""
    app = build_app(database_url=f"postgresql://ada:hunter2@127.0.0.1:{server.port}/app?{parameter}")

    with pytest.raises(OperationalError, match="rejected SSL upgrade"):
        async with app.state.db.session() as session:
            await session.execute(text("SELECT 1"))

    assert server.all_received() == {SSL_REQUEST, b""}


@pytest.mark.parametrize("command", ["db upgrade", "db current", "users list"])
@pytest.mark.parametrize("mode", ["ssl=require", "sslmode=require"])
def test_the_command_line_refuses_a_database_without_tls(
    server: ServerWithoutTLS, monkeypatch: pytest.MonkeyPatch, command: str, mode: str
):
    monkeypatch.setenv("SECRET_KEY", PRODUCTION["secret_key"])
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:hunter2@127.0.0.1:{server.port}/app?{mode}")

    result = CliRunner().invoke(cli, command.split())

    assert result.exit_code == 1
    assert "rejected SSL upgrade" in result.stderr
    assert "hunter2" not in result.output
    assert server.all_received() == {SSL_REQUEST, b""}


def test_a_missing_certificate_authority_is_named(
    server: ServerWithoutTLS, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SECRET_KEY", PRODUCTION["secret_key"])
    monkeypatch.setenv("DATABASE_URL", f"postgresql://127.0.0.1:{server.port}/app?sslmode=verify-full")

    result = CliRunner().invoke(cli, ["db", "upgrade"])

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "root certificate file" in result.stderr
    assert server.received == []


# Other parameters of a database URL


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=require&channel_binding=require",
        "sslmode=require&application_name=app&connect_timeout=10",
        "ssl=require&keepalives=1&keepalives_idle=30",
    ],
)
def test_options_without_effect_on_asyncpg_are_dropped(query: str):
    settings = production(database_url=f"postgres://u:p%40ss%25@db.example.com/app?{query}")

    assert settings.database_url.get_secret_value() == (
        "postgresql+asyncpg://u:p%40ss%25@db.example.com/app?ssl=require"
    )


@pytest.mark.parametrize(
    ("query", "remedy"),
    [
        ("sslmode=verify-full&sslrootcert=/etc/ca.pem", "set PGSSLROOTCERT in the environment"),
        ("sslmode=require&sslcert=c.pem&sslkey=k.pem", "set PGSSLCERT in the environment"),
        ("sslmode=require&ssl=disable", "both ssl and sslmode"),
        ("sslmode=yes", "set to disable, allow, prefer, require, verify-ca or verify-full"),
        ("ssl=true", "set to disable, allow, prefer, require, verify-ca or verify-full"),
        ("sslmode=require&sslmode=disable", "once"),
        ("options=-c%20search_path%3Dhunter2", "must not have options, except endpoint=…: run ALTER ROLE"),
        ("options=endpoint%3Dhunter2", "must have a host that begins with the endpoint"),
        ("options=endpoint%3Ddb%20-c%20role%3Dhunter2", "must not have options, except endpoint"),
        ("options=endpoint%3Ddb&options=endpoint%3Dhunter2", "must not have options, except endpoint"),
        ("schema=hunter2", "must not have a schema parameter other than schema=public: run ALTER ROLE"),
        ("pgbouncer=hunter2", "pgbouncer at most once, set to true or false"),
        ("pgbouncer=true&pgbouncer=false", "pgbouncer at most once, set to true or false"),
        ("hunter2=1", "after the ?; use only sslmode"),
        ("statement_cache_size=0", "after the ?; use only sslmode"),
    ],
)
@pytest.mark.parametrize("environment", ["development", "production", "test"])
def test_options_that_would_fail_to_connect_are_refused_with_a_reason(
    environment: str, query: str, remedy: str
):
    with pytest.raises(ValidationError) as caught:
        production(environment=environment, database_url=f"postgresql://db.example.com/app?{query}")

    said = {each["loc"]: each["msg"] for each in caught.value.errors()}[("database_url",)]
    assert remedy in said
    assert "hunter2" not in said
