"""All settings, typed, documented and checked at startup. The environment takes precedence over `.env`.

Template-owned above the seam, yours below it. A field defines the setting of the same name in upper case and
has an entry in `.env.example`. Read settings from `app.state.settings`, never from `os.environ`.
"""

import difflib
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from email.utils import getaddresses
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from dotenv.parser import Binding, parse_stream
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.settings_checks.encryption import unencrypted
from app.settings_checks.postgresql import for_asyncpg
from app.settings_checks.randomness import looks_random

# Your own imports go below; template updates never touch them.
# isort: split

DEFAULT_ENV_FILE = Path(".env")

_NOT_DERIVED = "default_factory_not_called"
"""pydantic's error type for a default computed from a field that is itself invalid."""
_PORTS = {"http": 80, "https": 443}


class SettingsError(Exception):
    """The environment or `.env` is invalid. The message lists every problem, one per line."""


def _secret_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 32:
        raise ValueError(
            "must be at least 32 characters; generate one with"
            ' `python -c "import secrets; print(secrets.token_hex(32))"`'
        )
    return value


def _web_address(value: str) -> str:
    if not _is_web_address(value) or "?" in value or "#" in value:
        raise ValueError("must be a URL such as https://app.example.org, without ? or #")
    return value.rstrip("/")


def _web_address_or_empty(value: str) -> str:
    return _web_address(value) if value else ""


def _link(value: str) -> str:
    if not _is_web_address(value) or "{token}" not in value:
        raise ValueError("must be an http(s) URL that contains {token}")
    return value


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        has_port_or_none = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_clean = value.isprintable() and " " not in value
    return parts.scheme in ("http", "https") and bool(parts.hostname) and has_port_or_none and is_clean


def _prefix(value: str) -> str:
    parts = value.removeprefix("/").split("/")
    if not value.startswith("/") or not all(parts) or not value.isascii() or set(value) & set("{}?# "):
        raise ValueError("must start with / and must not end with it, for example /users")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    for short, full in (
        ("postgres://", "postgresql+asyncpg://"),
        ("postgresql://", "postgresql+asyncpg://"),
        ("sqlite://", "sqlite+aiosqlite://"),
    ):
        if url.startswith(short):
            url = full + url.removeprefix(short)
    if not url.startswith(("postgresql+asyncpg://", "sqlite+aiosqlite:///")) or not _is_readable(url):
        raise ValueError(
            "must be sqlite+aiosqlite:///path/to/file.db or postgresql+asyncpg://user:password@host/name,"
            " with @ : / ? # in the password percent-encoded"
        )
    parts = make_url(url)
    if parts.get_backend_name() == "postgresql":
        understood = for_asyncpg(parts)
        if understood is not parts:
            url = understood.render_as_string(hide_password=False)
    return SecretStr(url)


def _is_readable(url: str) -> bool:
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        return False
    # An unencoded @ ends the password early, so the rest of the password would be shown as the host.
    return parts.drivername.startswith("sqlite") or (bool(parts.database) and "@" not in (parts.host or ""))


def _redis_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _is_redis(value.get_secret_value()):
        raise ValueError(
            "must be redis://user:password@host:6379/0, rediss://... for TLS or unix:///path/to/socket,"
            " with @ : / ? # in the password percent-encoded and only redis-py options after the ?"
        )
    return value


def _is_redis(url: str) -> bool:
    # Imported here so that applications without Redis start faster.
    from redis.asyncio import ConnectionPool
    from redis.exceptions import RedisError

    try:
        parts = make_url(url)
        cast(Any, ConnectionPool).from_url(url).make_connection()
    except (ArgumentError, RedisError, OSError, TypeError, ValueError):
        return False
    if parts.drivername == "unix":
        return not parts.host and bool(parts.database)
    # The same @ as above. redis-py silently uses database 0 if the path is not a number.
    return bool(parts.host) and "@" not in (parts.host or "") and (parts.database or "0").isdecimal()


def _sender(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError("must be one line")
    addresses = getaddresses([value])
    if len(addresses) != 1:
        raise ValueError("must be a single address")
    try:
        validate_email(addresses[0][1], check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"must be an e-mail address or Name <address>: {error}") from None
    return value


def _name(value: str) -> str:
    if not value.strip() or any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in value):
        raise ValueError("must be a single line without control characters")
    return value


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return [ip_network(each.strip()) for each in value.split(",") if each.strip()]
    except ValueError:
        raise ValueError(
            "must be a comma-separated list of IP addresses or networks, such as 10.0.0.0/8"
        ) from None


def _parts(value: object) -> object:
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


def _host_names(values: list[str]) -> list[str]:
    try:
        return [_host_name(each) for each in values]
    except ValueError:
        raise ValueError(
            "must be a comma-separated list of host names, such as app.example.org,"
            " without https://, port or *"
        ) from None


def _host_name(value: str) -> str:
    """As in the Host header: lower case, ASCII, IPv6 addresses in canonical form."""
    bare = value.removeprefix("[").removesuffix("]")
    if ":" in bare:
        return str(ip_address(bare))
    name = bare.encode("idna").decode().lower()
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise ValueError
    return name


def _origins(values: list[str]) -> list[str]:
    try:
        return [_origin(each) for each in values]
    except ValueError:
        raise ValueError(
            "must be a comma-separated list of origins, such as https://app.example.org,"
            " each with a scheme and without a path or *"
        ) from None


def _origin(value: str) -> str:
    """As browsers send it: lower case, without the scheme's default port (RFC 6454)."""
    parts = urlsplit(value)
    if not _is_web_address(value) or value.lower() != f"{parts.scheme}://{parts.netloc}".lower():
        raise ValueError
    if "@" in parts.netloc:
        raise ValueError
    name = _host_name(parts.hostname or "")
    port = f":{parts.port}" if parts.port not in (None, _PORTS[parts.scheme]) else ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{port}"


def _own_hosts(data: dict[str, Any]) -> list[str]:
    if data.get("environment") != "production" or "base_url" not in data:
        return []
    base_url: str = data["base_url"]
    return [urlsplit(base_url).hostname or ""]


# Your own validators go below; template updates never touch them.

DAY = 24 * 60 * 60
MAX_IN_PRODUCTION = {
    "verify_ttl": 7 * DAY,
    "reset_ttl": DAY,
    "email_change_ttl": 7 * DAY,
    "invitation_ttl": 90 * DAY,
    "access_ttl": DAY,
    "session_idle": 400 * DAY,
    "session_absolute": 400 * DAY,
    "session_not_remembered": 30 * DAY,
    "recent_login": DAY,
}
"""Seconds. Browsers keep a cookie for at most 400 days (RFC 6265bis, 5.5), so a session never needs more."""
_MIN_PREFIX = {4: 8, 6: 20}
"""By IP version. No proxy provider has a larger network: Akamai has 104.64.0.0/10 and 2600:1400::/24."""
_PRIVATE = (IPv6Network("fc00::/7"), IPv6Network("fe80::/10"))
"""Larger, but not reachable from the internet (RFC 4193, RFC 4291). In IPv4 the largest is 10.0.0.0/8."""
Seconds = Annotated[int, Field(ge=1, le=3650 * DAY)]
Link = Annotated[str, AfterValidator(_link)]


class Settings(BaseSettings):
    """The settings. In development only SECRET_KEY has no default."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Annotated[
        Literal["development", "production", "test"],
        Field(description="The kind of deployment. Production refuses unsafe settings."),
    ] = "development"
    debug: Annotated[
        bool, Field(description="Show the text of unexpected errors in responses. Refused in production.")
    ] = False
    app_name: Annotated[
        str, AfterValidator(_name), Field(description="The application name shown in e-mails and pages.")
    ] = "HawkAPI app"
    secret_key: Annotated[
        SecretStr,
        AfterValidator(_secret_key),
        Field(
            description="Signs every token. At least 32 random characters. Changing it ends every session."
        ),
    ]
    base_url: Annotated[
        str, AfterValidator(_web_address), Field(description="The public URL of this application.")
    ] = "http://127.0.0.1:8000"
    users_prefix: Annotated[
        str, AfterValidator(_prefix), Field(description="The URL prefix of the users routes.")
    ] = "/users"
    verify_url: Annotated[
        Link,
        Field(description="The link in verification e-mails. Contains {token}; may point to your front end."),
    ] = Field(default_factory=lambda data: _own_link(data, "verify"))
    reset_url: Annotated[Link, Field(description="The link in password reset e-mails. Contains {token}.")] = (
        Field(default_factory=lambda data: _own_link(data, "password-reset"))
    )

    email_change_url: Annotated[
        Link, Field(description="The link in e-mails that confirm a new address. Contains {token}.")
    ] = Field(default_factory=lambda data: _own_link(data, "email-change"))

    database_url: Annotated[
        SecretStr,
        AfterValidator(_database_url),
        Field(description="The SQLite file or PostgreSQL server. Masked because it may contain a password."),
    ] = SecretStr("sqlite+aiosqlite:///data/app.db")
    database_pool_size: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Connections per process (SQLite: max. 3). Keep the total below the server's limit.",
        ),
    ] = 32
    database_fast_paths: Annotated[
        bool,
        Field(
            description="Use SQLAlchemy's private API for speed. Turn off if an SQLAlchemy update breaks it."
        ),
    ] = True
    redis_url: Annotated[
        SecretStr | None,
        AfterValidator(_redis_url),
        Field(description="The Redis server where processes share limits. Unset: each counts separately."),
    ] = None
    redis_outage: Annotated[
        Literal["memory", "refuse"],
        Field(description="While Redis is down: memory counts per process, refuse rejects limited requests."),
    ] = "memory"

    mail_backend: Annotated[
        Literal[
            "console",
            "smtp",
            "memory",
            # Your own mail backends go below; template updates never touch them.
        ],
        Field(description="How e-mails are sent: to the console, by SMTP, or to memory (tests)."),
    ] = "console"
    mail_sender: Annotated[
        str,
        AfterValidator(_sender),
        Field(description="The From header: an e-mail address or Name <address>."),
    ] = "app@app.test"
    background_worker: Annotated[
        Literal["inline", "separate"],
        Field(
            description="Run background tasks, such as sending e-mail, in the web process or in `app worker`."
        ),
    ] = Field(
        default_factory=lambda data: "inline" if data.get("environment") == "development" else "separate"
    )
    mail_max_attempts: Annotated[
        int, Field(ge=1, le=50, description="Delivery attempts before an e-mail is set aside.")
    ] = 8
    mail_retention_days: Annotated[
        int, Field(ge=1, le=36_500, description="Days to keep an e-mail that was set aside.")
    ] = 30
    smtp_host: Annotated[str, Field(description="The host name of the SMTP server.")] = "127.0.0.1"
    smtp_port: Annotated[
        int,
        Field(
            ge=1,
            le=65535,
            description="The port of the SMTP server. Usually 587 for starttls and 465 for tls.",
        ),
    ] = 1025
    smtp_username: Annotated[
        str, Field(description="The SMTP user name. Empty if the server needs no login.")
    ] = ""
    smtp_password: Annotated[SecretStr | None, Field(description="The password of SMTP_USERNAME.")] = None
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"], Field(description="How the SMTP connection is encrypted.")
    ] = "none"
    smtp_timeout: Annotated[float, Field(gt=0, le=300, description="Seconds for each SMTP step.")] = 10.0
    plaintext_hosts: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(_parts),
        AfterValidator(_host_names),
        Field(
            description="Comma-separated hosts in a private network that you trust. Database, Redis and SMTP"
            " connections to them need no TLS in production."
        ),
    ] = []

    password_min_length: Annotated[
        int, Field(ge=8, le=128, description="The minimum length of a new password, in characters.")
    ] = 12
    password_breach_url: Annotated[
        str,
        AfterValidator(_web_address_or_empty),
        Field(description="The breached-password service, such as Have I Been Pwned. Empty: no check."),
    ] = ""
    password_breach_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=30,
            description="Seconds to wait for that service before accepting the password unchecked.",
        ),
    ] = 2.0
    verify_ttl: Annotated[Seconds, Field(description="The lifetime of a verification link, in seconds.")] = (
        3600
    )
    reset_ttl: Annotated[Seconds, Field(description="The lifetime of a password reset link, in seconds.")] = (
        3600
    )
    email_change_ttl: Annotated[
        Seconds, Field(description="The lifetime of an e-mail change link, in seconds.")
    ] = 3600
    registration: Annotated[
        Literal["open", "private", "closed"],
        Field(
            description="Who may register. open: anyone. private: anyone, and responses never reveal whether"
            " an address has an account. closed: invited people only."
        ),
    ] = "open"
    invitation_url: Annotated[
        Link, Field(description="The link in invitations. Contains {token}; may point to your front end.")
    ] = Field(default_factory=lambda data: _own_link(data, "invitation"))
    invitation_ttl: Annotated[Seconds, Field(description="The lifetime of an invitation, in seconds.")] = (
        7 * DAY
    )
    access_ttl: Annotated[Seconds, Field(description="The lifetime of an access token, in seconds.")] = 900
    session_idle: Annotated[
        Seconds,
        # The last use of a session is recorded at most once a minute.
        Field(ge=120, description="Seconds without use after which a session ends."),
    ] = 14 * DAY
    session_absolute: Annotated[
        Seconds, Field(description="Seconds after login at which a session ends, even if it is in use.")
    ] = 90 * DAY
    max_sessions: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="Sessions per account. A further login ends the least recently used one.",
        ),
    ] = 50
    session_not_remembered: Annotated[
        Seconds, Field(description="Like SESSION_ABSOLUTE, for a login with `remember: false`.")
    ] = DAY
    refresh_grace: Annotated[
        int,
        Field(
            ge=0,
            le=300,
            description="Seconds in which a refresh token may be reused, for example by two tabs.",
        ),
    ] = 30
    recent_login: Annotated[
        Seconds, Field(description="Seconds for which a login or a password confirmation counts as recent.")
    ] = 600
    cookie_secure: Annotated[
        bool,
        Field(description="Send the session cookie only over HTTPS, as __Host-session. Off: as session."),
    ] = True
    deletion_grace_days: Annotated[
        int,
        Field(ge=0, le=365, description="Days in which a deleted account can be restored by logging in."),
    ] = 0
    audit_retention_days: Annotated[
        int, Field(ge=1, le=36_500, description="Days to keep audit log entries.")
    ] = 365
    hash_threads: Annotated[
        int, Field(ge=1, le=256, description="Passwords hashed concurrently. Each takes 64 MiB and 4 lanes.")
    ] = max(2, (os.cpu_count() or 2) // 2)
    hash_queue: Annotated[
        int,
        Field(
            ge=0, le=10_000, description="Passwords that may wait to be hashed. Further requests get a 503."
        ),
    ] = 32

    trusted_proxies: Annotated[
        list[IPv4Network | IPv6Network],
        NoDecode,
        BeforeValidator(_networks),
        Field(
            description="Comma-separated addresses or networks of proxies whose X-Forwarded-For is trusted."
        ),
    ] = []
    max_body_size: Annotated[
        int, Field(ge=1024, description="The maximum size of a request body, in bytes.")
    ] = 1_048_576
    max_header_size: Annotated[
        int, Field(ge=1024, le=262_144, description="The maximum size of the request headers, in bytes.")
    ] = 16_384
    header_timeout: Annotated[
        float,
        Field(gt=0, le=86_400, description="Seconds to wait for request headers and on an idle connection."),
    ] = 10.0
    http2_enabled: Annotated[
        bool,
        Field(description="Accept HTTP/2 without TLS, for a proxy. Idle connections are then not closed."),
    ] = False
    body_timeout: Annotated[
        float, Field(gt=0, le=86_400, description="Seconds to wait for the whole request body.")
    ] = 20.0
    request_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds until the response must start, not counting the request body.",
        ),
    ] = 30.0
    allowed_hosts: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(_parts),
        AfterValidator(_host_names),
        Field(
            description="Comma-separated host names to serve. Default: BASE_URL's in production, else any."
        ),
    ] = Field(default_factory=_own_hosts)
    cors_origins: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(_parts),
        AfterValidator(_origins),
        Field(description="Comma-separated origins of other sites whose pages may call this application."),
    ] = []
    hsts_max_age: Annotated[
        int,
        Field(
            ge=0,
            le=3650 * DAY,
            description="HSTS max-age in seconds, production only. 0 turns the header off.",
        ),
    ] = 365 * DAY
    hsts_subdomains: Annotated[bool, Field(description="Include subdomains in the HSTS header.")] = True
    log_format: Annotated[
        Literal["json", "text"],
        Field(description="Log as JSON (default in production) or as readable text."),
    ] = Field(default_factory=lambda data: "json" if data.get("environment") == "production" else "text")
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
        Field(description="The minimum log level. Requests are logged at INFO."),
    ] = "INFO"
    docs_enabled: Annotated[
        bool, Field(description="Serve /docs and /openapi.json. Default: off in production, otherwise on.")
    ] = Field(default_factory=lambda data: data.get("environment") != "production")

    # Your own settings go below; template updates never touch them.

    @model_validator(mode="after")
    def _refuse_unsafe_production(self) -> Self:
        if self.environment == "production":
            problems = list(_unsafe(self))
            if problems:
                raise ValueError("\n".join(problems))
        return self


def load_settings(env_file: Path | None = DEFAULT_ENV_FILE) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: the message lists every problem, one per line, and never contains a secret.
    """
    problems = [] if env_file is None else list(_flaws(env_file))
    try:
        settings = Settings(_env_file=env_file)  # type: ignore[call-arg]  # read from outside
    except ValidationError as error:
        problems = [*_sentences(error), *_hidden_problems(error, env_file), *problems]
    else:
        if not problems:
            return settings
    raise SettingsError("Invalid settings:\n" + "\n".join(f"  {each}" for each in problems))


def describe(settings: Settings, env_file: Path | None = DEFAULT_ENV_FILE) -> list[tuple[str, str, str]]:
    """Name, value (secrets masked) and source (environment, .env, default) of every setting."""
    bindings = _read(env_file) if env_file is not None else []
    in_file = {each.key.upper() for each in bindings if each.key and each.value}
    in_environment = {name.upper() for name, value in os.environ.items() if value}
    rows: list[tuple[str, str, str]] = []
    for field in type(settings).model_fields:
        name = field.upper()
        source = "environment" if name in in_environment else ".env" if name in in_file else "default"
        rows.append((name, _shown(name, getattr(settings, field)), source))
    return rows


def _shown(name: str, value: object) -> str:
    if isinstance(value, SecretStr) and name.endswith("_URL"):
        # Show which server it is, but drop the query: it may contain a password.
        return make_url(value.get_secret_value()).set(query={}).render_as_string(hide_password=True)
    if isinstance(value, list):
        return ",".join(str(each) for each in cast(list[object], value))
    return "" if value is None else str(value)


def _own_link(data: dict[str, Any], action: str) -> str:
    base, prefix = data.get("base_url", "http://127.0.0.1:8000"), data.get("users_prefix", "/users")
    return f"{base}{prefix}/{action}/" + "{token}"


def _unsafe(settings: Settings) -> Iterator[str]:
    """Reasons why *settings* are unsafe in production."""
    secret = settings.secret_key.get_secret_value()
    if not looks_random(secret):
        yield (
            "SECRET_KEY: must be random in production, not a placeholder or a pattern; generate one with"
            ' `python -c "import secrets; print(secrets.token_hex(32))"`.'
        )
    if settings.debug:
        yield "DEBUG: must be off in production because it shows the details of errors to everyone."
    if not settings.base_url.startswith("https://"):
        yield "BASE_URL: must be this application's https:// URL in production."
    if settings.mail_backend in ("console", "memory"):
        yield f"MAIL_BACKEND: {settings.mail_backend} does not send e-mail; production needs smtp."
    if "mail_sender" not in settings.model_fields_set:
        yield "MAIL_SENDER: must be set to one of your addresses in production."
    if settings.mail_backend == "smtp" and "smtp_host" not in settings.model_fields_set:
        yield "SMTP_HOST: must be set to your mail server in production."
    yield from unencrypted(settings)
    if not settings.cookie_secure:
        yield "COOKIE_SECURE: must be on in production, or the session cookie could be sent unencrypted."
    if not settings.allowed_hosts:
        yield "ALLOWED_HOSTS: must name a host in production; leave it unset to use that of BASE_URL."
    if any(each.startswith("http://") for each in settings.cors_origins):
        yield "CORS_ORIGINS: must be https:// origins in production."
    if settings.password_breach_url.startswith("http://"):
        yield "PASSWORD_BREACH_URL: must be an https:// URL in production."
    links = {"verify_url", "reset_url", "email_change_url", "invitation_url"}
    for name in sorted(links & settings.model_fields_set):
        if not str(getattr(settings, name)).startswith("https://"):
            yield f"{name.upper()}: must be an https:// URL in production because its token is a secret."
    for name, longest in MAX_IN_PRODUCTION.items():
        if getattr(settings, name) > longest:
            yield f"{name.upper()}: must be at most {longest} seconds ({_in_words(longest)}) in production."
    for network in settings.trusted_proxies:
        if _is_much_of_the_internet(network):
            yield (
                f"TRUSTED_PROXIES: {network} covers so much of the internet that addresses can be forged;"
                f" in production a network must be a /{_MIN_PREFIX[network.version]} or smaller."
            )
    # Your own rules for production go below; template updates never touch them.


def _in_words(seconds: int) -> str:
    days = seconds // DAY
    return "a day" if days == 1 else f"{days} days"


def _is_much_of_the_internet(network: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv6Network) and any(network.subnet_of(each) for each in _PRIVATE):
        return False
    return network.prefixlen < _MIN_PREFIX[network.version]


def _hidden_problems(error: ValidationError, env_file: Path | None) -> Iterator[str]:
    """What else production would refuse, found by replacing the invalid fields of *error* with valid
    values."""
    wrong = {str(each["loc"][0]) for each in error.errors() if each["loc"] and each["type"] != _NOT_DERIVED}
    if not wrong:
        return
    stand_ins: dict[str, Any] = {
        name: Settings.model_fields[name].get_default(call_default_factory=True, validated_data={})
        for name in wrong
    }
    if "secret_key" in wrong:
        stand_ins["secret_key"] = SecretStr(secrets.token_hex(32))
    try:
        Settings(_env_file=env_file, **stand_ins)  # type: ignore[call-arg]  # read from outside
    except ValidationError as second:
        yield from (each for each in _sentences(second) if each.partition(":")[0].lower() not in stand_ins)


def _sentences(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] == _NOT_DERIVED:
            continue
        if not each["loc"]:
            yield from message.splitlines()
            continue
        name = str(each["loc"][0]).upper()
        if each["type"] == "missing":
            message = "is missing; set it in the environment or in .env (see .env.example)"
        yield f"{name}: {message[:1].lower()}{message[1:].rstrip('.')}."


def _flaws(env_file: Path) -> Iterator[str]:
    """Lines of `.env` that would otherwise be ignored silently, such as misspelled names."""
    known = {field.upper() for field in Settings.model_fields}
    for each in _read(env_file):
        where = f"{env_file}, line {each.original.line}"
        if each.error:
            yield f"{where}: cannot be parsed; a line must be NAME=value or start with #."
        elif each.key and each.key.upper() not in known:
            close = difflib.get_close_matches(each.key.upper(), known, 1)
            hint = f"did you mean {close[0]}?" if close else "add your own settings to app/settings.py first."
            yield f"{each.key}: unknown setting ({where}); {hint}"
        elif each.key and each.value is None:
            yield f"{each.key}: has no value ({where}); write {each.key}=value."


def _read(env_file: Path) -> list[Binding]:
    if not env_file.is_file():
        return []
    try:
        with env_file.open(encoding="utf-8-sig") as stream:
            return list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file} cannot be read as UTF-8 text: {error}") from None
