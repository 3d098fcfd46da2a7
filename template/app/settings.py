"""All settings, typed, documented and checked at startup. The environment takes precedence over `.env`.

Template-owned, except for the lines that you add below a seam comment. Each field defines the setting of the
same name in upper case and has an entry in `.env.example`. Read settings from `app.state.settings`, never
from `os.environ`.
"""

import os
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.settings_checks import mail, report, types
from app.settings_checks.encryption import unencrypted
from app.settings_checks.randomness import looks_random
from app.settings_checks.report import SettingsError
from app.settings_checks.types import DAY, Link, Seconds, is_ip_address

# Your own imports go below; template updates never touch them.
# isort: split

__all__ = [
    "DAY",
    "DEFAULT_ENV_FILE",
    "MAX_IN_PRODUCTION",
    "Settings",
    "SettingsError",
    "describe",
    "load_settings",
]

DEFAULT_ENV_FILE = Path(".env")


def _own_hosts(data: dict[str, Any]) -> list[str]:
    if data.get("environment") != "production" or "base_url" not in data:
        return []
    base_url: str = data["base_url"]
    return [urlsplit(base_url).hostname or ""]


def _own_domain(data: dict[str, Any]) -> str:
    base_url: str = data.get("base_url", "")
    host = urlsplit(base_url).hostname or ""
    # Passkeys need a domain. Browsers accept localhost for development (WebAuthn level 3, section 5.1.3).
    return host if host and not is_ip_address(host) else "localhost"


def _hash_threads() -> int:
    # At most four threads, which use 256 MiB: a container may have only a fraction of the machine's cores and
    # memory.
    return min(max(2, (os.cpu_count() or 2) // 2), 4)


# Your own validators go below; template updates never touch them.

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
"""In seconds. Browsers limit cookies to 400 days (RFC 6265bis, 5.5), so no session needs to last longer."""
_MIN_PREFIX = {4: 8, 6: 20}
"""The shortest allowed prefix for each IP version. Known proxy providers use longer prefixes, such as
Akamai's 104.64.0.0/10 and 2600:1400::/24."""
_PRIVATE = (IPv6Network("fc00::/7"), IPv6Network("fe80::/10"))
"""Networks that may be larger because they are not reachable from the internet (RFC 4193, RFC 4291). IPv4
needs no exception: its largest private network is 10.0.0.0/8."""


class Settings(report.CompleteReport, BaseSettings):
    """All application settings. In development, only SECRET_KEY is required."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Annotated[
        Literal["development", "production", "test"],
        Field(description="The kind of deployment. Production rejects unsafe settings."),
    ] = "development"
    debug: Annotated[
        bool, Field(description="Show the text of unexpected errors in responses. Not allowed in production.")
    ] = False
    app_name: Annotated[
        types.OneLine, Field(description="The application name shown in e-mails and on pages.")
    ] = "HawkAPI app"
    brand_color: Annotated[
        types.BrandColor,
        Field(description="The color of buttons and links on pages and in e-mails, such as #0969da."),
    ] = "#0969da"
    logo_url: Annotated[
        types.LogoUrl,
        Field(description="The logo on pages: a path in this application. If empty, only the name is shown."),
    ] = ""
    support_email: Annotated[
        types.EmailOrEmpty,
        Field(description="The e-mail address for support, shown in e-mails. If empty, none is shown."),
    ] = ""
    secret_key: Annotated[
        types.SecretKey,
        Field(
            description="Signs every token. At least 32 random characters. Changing it ends every session"
            " unless SECRET_KEY_FALLBACKS contains the old key."
        ),
    ]
    secret_key_fallbacks: Annotated[
        types.SecretKeys,
        Field(
            description="Comma-separated earlier values of SECRET_KEY. Tokens signed with them are still"
            " accepted. At most three."
        ),
    ] = []
    base_url: Annotated[types.WebUrl, Field(description="The public URL of this application.")] = (
        "http://127.0.0.1:8000"
    )
    users_prefix: Annotated[types.PathPrefix, Field(description="The URL prefix of the users routes.")] = (
        "/users"
    )
    verify_url: Annotated[
        Link,
        Field(
            description="The link in verification e-mails. Must contain {token}; can point to your front end."
        ),
    ] = Field(default_factory=lambda data: _own_link(data, "verify"))
    reset_url: Annotated[
        Link, Field(description="The link in password reset e-mails. Must contain {token}.")
    ] = Field(default_factory=lambda data: _own_link(data, "password-reset"))

    email_change_url: Annotated[
        Link, Field(description="The link that confirms a new e-mail address. Must contain {token}.")
    ] = Field(default_factory=lambda data: _own_link(data, "email-change"))

    database_url: Annotated[
        types.DatabaseUrl,
        Field(description="The database URL. Its password is never shown."),
    ] = SecretStr("sqlite+aiosqlite:///data/app.db")
    database_pool_size: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Connections per process (SQLite: at most 3 for writing and 3 for reading). Keep the"
            " total below the server's limit.",
        ),
    ] = 32
    database_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds to wait for a connection, a SQLite lock, or a PostgreSQL statement. After"
            " that, the response is a 503.",
        ),
    ] = 10.0
    database_fast_paths: Annotated[
        bool,
        Field(
            description="Use private APIs of SQLAlchemy and aiosqlite for speed. Turn this off if a new"
            " version of either package breaks them."
        ),
    ] = True
    redis_url: Annotated[
        types.RedisUrl,
        Field(
            description="The Redis server that processes use to share rate limits. If unset, each process"
            " counts requests separately."
        ),
    ] = None
    redis_outage: Annotated[
        Literal["memory", "refuse"],
        Field(
            description="What to do while Redis is down: memory (each process counts requests separately)"
            " or refuse (rate-limited requests get a 503)."
        ),
    ] = "memory"
    rate_limits: Annotated[
        bool, Field(description="Enforce rate limits. Turn them off only for browser tests and load tests.")
    ] = True

    mail_backend: Annotated[
        Literal[
            "console",
            "smtp",
            "memory",
            "ses",
            "sendgrid",
            "mailgun",
            "resend",
            # Your own mail backends go below; template updates never touch them.
        ],
        Field(description="How e-mails are sent: console, smtp, memory (for tests), or through a provider."),
    ] = "console"
    mail_sender: Annotated[
        types.Sender,
        Field(description="The From header: an e-mail address or Name <address>."),
    ] = "app@app.test"
    background_worker: Annotated[
        Literal["inline", "separate"],
        Field(
            description="Where background tasks (such as sending e-mail) run: inline (in the web process) or"
            " separate (in `app worker`)."
        ),
    ] = Field(
        default_factory=lambda data: "inline" if data.get("environment") == "development" else "separate"
    )
    mail_max_attempts: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Delivery attempts before an e-mail is set aside. 33 attempts take about a day.",
        ),
    ] = 33
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
    smtp_password: Annotated[SecretStr | None, Field(description="The password for SMTP_USERNAME.")] = None
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"], Field(description="How the SMTP connection is encrypted.")
    ] = "none"
    smtp_timeout: Annotated[
        float, Field(gt=0, le=300, description="The timeout for each SMTP step, in seconds.")
    ] = 10.0
    aws_region: Annotated[
        str,
        Field(pattern=r"^[a-z0-9-]*$", description="The Amazon SES region, such as eu-central-1."),
    ] = ""
    aws_access_key_id: Annotated[
        str,
        Field(description="The AWS access key. If empty, boto3 uses ~/.aws or the machine's role."),
    ] = ""
    aws_secret_access_key: Annotated[types.ApiKey, Field(description="The secret for AWS_ACCESS_KEY_ID.")] = (
        SecretStr("")
    )
    aws_session_token: Annotated[
        types.ApiKey, Field(description="The session token for a temporary AWS_ACCESS_KEY_ID.")
    ] = SecretStr("")
    sendgrid_api_key: Annotated[
        types.ApiKey, Field(description="The SendGrid API key. It needs only the Mail Send permission.")
    ] = SecretStr("")
    mailgun_api_key: Annotated[types.ApiKey, Field(description="The sending key for MAILGUN_DOMAIN.")] = (
        SecretStr("")
    )
    mailgun_domain: Annotated[
        types.DomainOrEmpty, Field(description="The domain that Mailgun sends from.")
    ] = ""
    mailgun_region: Annotated[
        Literal["us", "eu"], Field(description="The region where MAILGUN_DOMAIN was created.")
    ] = "us"
    resend_api_key: Annotated[
        types.ApiKey, Field(description="The Resend API key. It needs only sending access.")
    ] = SecretStr("")
    ses_topic_arn: Annotated[
        types.TopicArn, Field(description="The SNS topic to which SES reports bounces and complaints.")
    ] = ""
    sendgrid_webhook_key: Annotated[
        str, Field(description="The verification key of SendGrid's signed event webhook.")
    ] = ""
    mailgun_webhook_key: Annotated[types.ApiKey, Field(description="Mailgun's webhook signing key.")] = (
        SecretStr("")
    )
    resend_webhook_secret: Annotated[
        types.ApiKey, Field(description="The signing secret of Resend's webhook: whsec_….")
    ] = SecretStr("")
    plaintext_hosts: Annotated[
        types.HostNames,
        Field(
            description="Comma-separated hosts on a private network that you trust. A database, Redis, mail"
            " server, OTLP_ENDPOINT or SENTRY_DSN on one of them needs no TLS in production."
        ),
    ] = []

    password_min_length: Annotated[
        int, Field(ge=8, le=128, description="The minimum length of a new password, in characters.")
    ] = 12
    password_breach_url: Annotated[
        types.WebUrlOrEmpty,
        Field(
            description="The breached-password service, such as Have I Been Pwned. If empty, passwords are"
            " not checked against a breach service."
        ),
    ] = ""
    password_breach_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=30,
            description="Seconds to wait for PASSWORD_BREACH_URL before accepting a password unchecked.",
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
    login_requires_verification: Annotated[
        bool,
        Field(
            description="Reject logins until the e-mail address is verified. With REGISTRATION=private, the"
            " default is true, and false is rejected. Otherwise, the default is false."
        ),
    ] = Field(default_factory=lambda data: data.get("registration") == "private")
    require_second_factor: Annotated[
        Literal["off", "admins", "all"],
        Field(
            description="Who must have a second factor. off: nobody. admins: superusers. all: everyone. Users"
            " who do not have one yet can only set one up."
        ),
    ] = "off"
    passkey_domain: Annotated[
        types.Domain,
        Field(
            description="The domain that passkeys belong to: the host of BASE_URL or one of its parent"
            " domains. Changing the domain makes all passkeys unusable."
        ),
    ] = Field(default_factory=_own_domain)
    invitation_url: Annotated[
        Link, Field(description="The link in invitations. Must contain {token}; can point to your front end.")
    ] = Field(default_factory=lambda data: _own_link(data, "invitation"))
    invitation_ttl: Annotated[Seconds, Field(description="The lifetime of an invitation, in seconds.")] = (
        7 * DAY
    )
    access_ttl: Annotated[Seconds, Field(description="The lifetime of an access token, in seconds.")] = 900
    session_idle: Annotated[
        Seconds,
        # The last use of a session is recorded at most once a minute.
        Field(ge=120, description="Seconds of inactivity after which a session ends."),
    ] = 14 * DAY
    session_absolute: Annotated[
        Seconds, Field(description="Seconds after login until a session ends, even if it is in use.")
    ] = 90 * DAY
    max_sessions: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="Maximum sessions per account. A login beyond this limit ends the least recently used"
            " session.",
        ),
    ] = 50
    session_not_remembered: Annotated[
        Seconds, Field(description="Like SESSION_ABSOLUTE, but for a login with `remember: false`.")
    ] = DAY
    refresh_grace: Annotated[
        int,
        Field(
            ge=0,
            le=300,
            description="How long, in seconds, a refresh token can be reused after its first use, in case two"
            " tabs refresh at the same time.",
        ),
    ] = 30
    recent_login: Annotated[
        Seconds, Field(description="Seconds for which a login or a password confirmation counts as recent.")
    ] = 600
    cookie_secure: Annotated[
        bool,
        Field(
            description="Send the session cookie only over HTTPS and name it __Host-session. If false, the"
            " cookie is named session."
        ),
    ] = True
    deletion_grace_days: Annotated[
        int,
        Field(
            ge=0,
            le=365,
            description="Days during which owners can restore a deleted account by logging in.",
        ),
    ] = 0
    audit_retention_days: Annotated[
        int, Field(ge=1, le=36_500, description="Days to keep audit log entries.")
    ] = 365
    hash_threads: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="How many passwords are hashed concurrently. Each uses 64 MiB and up to 4 cores.",
        ),
    ] = Field(default_factory=_hash_threads)
    hash_queue: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="How many passwords may wait to be hashed. Further requests get a 503.",
        ),
    ] = 32

    trusted_proxies: Annotated[
        types.Networks,
        Field(
            description="Comma-separated IP addresses or networks of the proxies whose X-Forwarded-For header"
            " is trusted."
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
        Field(
            gt=0,
            le=86_400,
            description="Seconds to wait for request headers, and to keep an idle connection open.",
        ),
    ] = 10.0
    http2_enabled: Annotated[
        bool,
        Field(
            description="Accept HTTP/2 without TLS, for use behind a proxy. Idle connections are then never"
            " closed."
        ),
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
        types.HostNames,
        Field(
            description="Comma-separated host names to serve. Default: the host of BASE_URL in production,"
            " otherwise any host."
        ),
    ] = Field(default_factory=_own_hosts)
    cors_origins: Annotated[
        types.Origins,
        Field(
            description="Comma-separated origins of front ends whose pages may call this application."
            " Cookies work only for origins on the same site as BASE_URL."
        ),
    ] = []
    hsts_max_age: Annotated[
        int,
        Field(
            ge=0,
            le=3650 * DAY,
            description="The HSTS max-age in seconds. Used only in production. 0 turns the header off.",
        ),
    ] = 365 * DAY
    hsts_subdomains: Annotated[
        bool,
        Field(
            description="Include subdomains in the HSTS header. Use this only if all subdomains support"
            " HTTPS, because browsers remember the header for HSTS_MAX_AGE."
        ),
    ] = False
    log_format: Annotated[
        Literal["json", "text"],
        Field(description="Log as JSON (default in production) or as readable text."),
    ] = Field(default_factory=lambda data: "json" if data.get("environment") == "production" else "text")
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
        Field(description="The minimum log level. Requests are logged at INFO."),
    ] = "INFO"
    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65_504,
            description="The port for Prometheus metrics. Each process uses the next free port. If unset,"
            " there are no metrics.",
        ),
    ] = None
    metrics_host: Annotated[
        types.OneLine, Field(description="The address that the metrics are served on.")
    ] = "127.0.0.1"
    otlp_endpoint: Annotated[
        types.WebUrlOrEmpty,
        Field(description="The OpenTelemetry collector that receives traces. If empty, no traces are sent."),
    ] = ""
    sentry_dsn: Annotated[
        types.SentryDsn,
        Field(description="The Sentry DSN that receives errors. If unset, no errors are reported."),
    ] = None
    slow_query_ms: Annotated[
        int | None,
        Field(
            ge=0,
            description="Log SQL statements that take at least this many milliseconds. If unset, no"
            " statements are logged.",
        ),
    ] = None
    docs_enabled: Annotated[
        bool, Field(description="Serve /docs and /openapi.json. Default: off in production, otherwise on.")
    ] = Field(default_factory=lambda data: data.get("environment") != "production")

    # Your own settings go below; template updates never touch them.

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        problems = list(_contradictory(self))
        if self.environment == "production":
            problems += _unsafe(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load_settings(env_file: Path | None = DEFAULT_ENV_FILE) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: a setting is missing or invalid. The message lists every problem, one per line, and
            never contains a secret.
    """
    return report.read(Settings, env_file)


def describe(settings: Settings, env_file: Path | None = DEFAULT_ENV_FILE) -> list[tuple[str, str, str]]:
    """The name, value (secrets masked) and source (environment, .env, default) of every setting."""
    return report.describe(settings, env_file)


def _own_link(data: dict[str, Any], action: str) -> str:
    base, prefix = data.get("base_url", "http://127.0.0.1:8000"), data.get("users_prefix", "/users")
    return f"{base}{prefix}/{action}/" + "{token}"


def _contradictory(settings: Settings) -> Iterator[str]:
    """One message for each contradiction in *settings*."""
    if settings.secret_key in settings.secret_key_fallbacks:
        yield "SECRET_KEY_FALLBACKS: must not contain SECRET_KEY; list only earlier keys."
    if settings.registration == "private" and not settings.login_requires_verification:
        yield (
            "LOGIN_REQUIRES_VERIFICATION: must not be false with REGISTRATION=private, because a login that"
            " works immediately would reveal that the address had no account. Remove it, or set it to true."
        )
    if settings.session_not_remembered >= settings.session_absolute:
        yield (
            f"SESSION_NOT_REMEMBERED: is {settings.session_not_remembered}, but must be less than"
            f" SESSION_ABSOLUTE, which is {settings.session_absolute}; otherwise, a session ends with the"
            " browser even after a login with `remember: true`. Lower it, or raise SESSION_ABSOLUTE."
        )
    yield from mail.lacking(settings)


def _unsafe(settings: Settings) -> Iterator[str]:
    """One message for each problem that makes *settings* unsafe in production."""
    secret = settings.secret_key.get_secret_value()
    if not looks_random(secret):
        yield (
            "SECRET_KEY: must be random in production, not a placeholder or a pattern; generate one with"
            ' `python -c "import secrets; print(secrets.token_hex(32))"`.'
        )
    if not all(looks_random(each.get_secret_value()) for each in settings.secret_key_fallbacks):
        yield (
            "SECRET_KEY_FALLBACKS: must be random keys in production, not placeholders or patterns, because"
            " whoever guesses one can log in as anyone. Remove it."
        )
    if settings.debug:
        yield "DEBUG: must be false in production because it shows the details of errors to everyone."
    if not settings.base_url.startswith("https://"):
        yield "BASE_URL: must be this application's https:// URL in production."
    if settings.mail_backend in ("console", "memory"):
        yield (
            f"MAIL_BACKEND: {settings.mail_backend} does not send e-mail; production needs smtp or a provider"
            " (see .env.example)."
        )
    if "mail_sender" not in settings.model_fields_set:
        yield "MAIL_SENDER: must be set to one of your addresses in production."
    if settings.mail_backend == "smtp" and "smtp_host" not in settings.model_fields_set:
        yield "SMTP_HOST: must be set to your mail server in production."
    yield from unencrypted(settings)
    if not settings.cookie_secure:
        yield "COOKIE_SECURE: must be true in production, or the session cookie could be sent unencrypted."
    if not settings.rate_limits:
        yield "RATE_LIMITS: must be on in production, or passwords can be guessed without limit."
    if not settings.allowed_hosts:
        yield "ALLOWED_HOSTS: must name a host in production; leave it unset to use the host of BASE_URL."
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
                f"TRUSTED_PROXIES: {network} covers so much of the internet that clients can forge addresses;"
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
