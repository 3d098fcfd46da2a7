"""Types for settings, each with its validator. Template-owned; `app/settings.py` uses them.

A validator's message starts with a verb, usually "must", because the setting's name is prepended to it.
"""

import re
import unicodedata
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.settings_checks.postgresql import for_asyncpg

DAY = 24 * 60 * 60
_PORTS = {"http": 80, "https": 443}
MAX_FALLBACKS = 3
"""Each key adds a comparison to every token check and is one more secret that can leak."""


def _secret_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 32:
        raise ValueError(
            "must be at least 32 characters; generate one with"
            ' `python -c "import secrets; print(secrets.token_hex(32))"`'
        )
    return value


def _secret_keys(values: list[SecretStr]) -> list[SecretStr]:
    if len(values) > MAX_FALLBACKS:
        raise ValueError(f"must be at most {MAX_FALLBACKS} keys; remove the oldest ones")
    if any(len(each.get_secret_value()) < 32 for each in values):
        raise ValueError("must be a comma-separated list of earlier keys of at least 32 characters each")
    if len({each.get_secret_value() for each in values}) < len(values):
        raise ValueError("must not contain the same key twice")
    return values


def _web_url(value: str) -> str:
    if not _is_web_url(value) or "?" in value or "#" in value:
        raise ValueError("must be a URL such as https://app.example.org, without ? or #")
    return _with_lower_scheme(value).rstrip("/")


def _web_url_or_empty(value: str) -> str:
    return _web_url(value) if value else ""


def _sentry_dsn(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        dsn = value.get_secret_value()
        if not _is_web_url(dsn) or not re.fullmatch(r"/(?:[^/?#]+/)*[0-9]+", urlsplit(dsn).path):
            raise ValueError("must be a project's DSN, such as https://key@sentry.example.org/1")
        if not urlsplit(dsn).username:
            raise ValueError("must contain the project's key, as in https://key@sentry.example.org/1")
    return value


def _logo_url(value: str) -> str:
    # A URL on another site is rejected, because pages load files only from this application.
    if value and not re.fullmatch(r"/(?!/)[\x21-\x7e]*", value):
        raise ValueError("must be a path in this application, such as /static/logo.svg, or empty")
    return value


def _link(value: str) -> str:
    if not _is_web_url(value) or "{token}" not in value:
        raise ValueError("must be an http(s) URL that contains {token}")
    return _with_lower_scheme(value)


def _with_lower_scheme(url: str) -> str:
    # HTTP:// means the same as http://, so production must reject it as well.
    scheme, _, rest = url.partition(":")
    return f"{scheme.lower()}:{rest}"


def _is_web_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        has_port_or_none = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_clean = value.isprintable() and " " not in value
    return parts.scheme in ("http", "https") and bool(parts.hostname) and has_port_or_none and is_clean


def _brand_color(value: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError("must be a color such as #0969da")
    if _contrast_with_white(value) < 4.5:
        raise ValueError(
            "must be darker: white text on it needs a contrast ratio of at least 4.5 (WCAG 2.2, 1.4.3)"
        )
    return value.lower()


def _contrast_with_white(color: str) -> float:
    """The contrast ratio between *color* and white, as WCAG 2.2 defines it."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _path_prefix(value: str) -> str:
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
    if parts.port is not None and not 0 < parts.port < 2**16:
        raise ValueError("must have a port from 1 to 65535")
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
    # An unencoded @ cuts the password short, so the rest of the password would be shown as the host.
    return parts.drivername.startswith("sqlite") or (bool(parts.database) and "@" not in (parts.host or ""))


def _redis_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _is_redis(value.get_secret_value()):
        raise ValueError(
            "must be redis://user:password@host:6379/0, rediss://... (for TLS) or unix:///path/to/socket;"
            " percent-encode @ : / ? # in the password, and use only redis-py options after the ?"
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
    # An unencoded @ cuts the password short, as above. redis-py silently uses database 0 if the path is not a
    # number.
    return bool(parts.host) and "@" not in (parts.host or "") and (parts.database or "0").isdecimal()


def is_ip_address(host: str) -> bool:
    """Whether *host* is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _domain(value: str) -> str:
    try:
        name = _host_name(value)
    except ValueError:
        name = ""
    if not name or is_ip_address(name):
        raise ValueError("must be a domain such as example.org, without https:// or a port")
    return name


def _domain_or_empty(value: str) -> str:
    return _domain(value) if value else ""


def _api_key(value: SecretStr) -> SecretStr:
    # The key is sent in a header, and the library's message about an invalid header would reveal the key.
    if not re.fullmatch(r"[\x21-\x7e]*", value.get_secret_value()):
        raise ValueError("must contain only ASCII characters and no spaces")
    return value


def _topic_arn(value: str) -> str:
    if value and not re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]+", value):
        raise ValueError(
            "must be the ARN of an SNS topic, such as arn:aws:sns:eu-central-1:123456789012:bounces"
        )
    return value


def _sender(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError("must be one line")
    addresses = getaddresses([value])
    if len(addresses) != 1:
        raise ValueError("must be a single e-mail address")
    name, address = addresses[0]
    try:
        # Many mail servers accept only ASCII. The domain can be converted, but the part before the @ cannot.
        parts = validate_email(
            address, check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise ValueError(f"must be an e-mail address or Name <address>: {error}") from None
    return value if address.isascii() else str(Address(name, parts.local_part, parts.ascii_domain))


def _email_or_empty(value: str) -> str:
    try:
        if value:
            validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"must be an e-mail address: {error}") from None
    return value


def _one_line(value: str) -> str:
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
            " without https://, a port or *"
        ) from None


def _host_name(value: str) -> str:
    """*value* as it appears in the Host header: in lower-case ASCII, with an IPv6 address in canonical
    form."""
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
    """*value* as browsers send it: in lower case, without the scheme's default port (RFC 6454)."""
    parts = urlsplit(value)
    if not _is_web_url(value) or value.lower() != f"{parts.scheme}://{parts.netloc}".lower():
        raise ValueError
    if "@" in parts.netloc:
        raise ValueError
    return origin_of(value)


def origin_of(url: str) -> str:
    """The origin of a page at *url*, as browsers send it."""
    parts = urlsplit(url)
    name = _host_name(parts.hostname or "")
    port = f":{parts.port}" if parts.port not in (None, _PORTS[parts.scheme]) else ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{port}"


Seconds = Annotated[int, Field(ge=1, le=3650 * DAY)]
OneLine = Annotated[str, AfterValidator(_one_line)]
SecretKey = Annotated[SecretStr, AfterValidator(_secret_key)]
SecretKeys = Annotated[list[SecretStr], NoDecode, BeforeValidator(_parts), AfterValidator(_secret_keys)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
WebUrlOrEmpty = Annotated[str, AfterValidator(_web_url_or_empty)]
SentryDsn = Annotated[SecretStr | None, AfterValidator(_sentry_dsn)]
LogoUrl = Annotated[str, AfterValidator(_logo_url)]
BrandColor = Annotated[str, AfterValidator(_brand_color)]
Link = Annotated[str, AfterValidator(_link)]
"""The URL of an e-mailed link. {token} is replaced with the token."""
PathPrefix = Annotated[str, AfterValidator(_path_prefix)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr | None, AfterValidator(_redis_url)]
EmailOrEmpty = Annotated[str, AfterValidator(_email_or_empty)]
Sender = Annotated[str, AfterValidator(_sender)]
ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]
Domain = Annotated[str, AfterValidator(_domain)]
TopicArn = Annotated[str, AfterValidator(_topic_arn)]
DomainOrEmpty = Annotated[str, AfterValidator(_domain_or_empty)]
Networks = Annotated[list[IPv4Network | IPv6Network], NoDecode, BeforeValidator(_networks)]
HostNames = Annotated[list[str], NoDecode, BeforeValidator(_parts), AfterValidator(_host_names)]
Origins = Annotated[list[str], NoDecode, BeforeValidator(_parts), AfterValidator(_origins)]
