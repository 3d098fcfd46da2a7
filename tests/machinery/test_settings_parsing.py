"""Settings in detail: sources, accepted values and error messages."""

import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from annotated_types import Le
from pydantic import SecretStr

from app.settings import DAY, MAX_IN_PRODUCTION, Settings, SettingsError, describe, load_settings
from app.settings_checks import report

KEY = sha256(b"the secret of the tests").hexdigest()

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": KEY,
    "BASE_URL": "https://app.example.com",
    "MAIL_BACKEND": "smtp",
    "MAIL_SENDER": "app@example.com",
    "SMTP_HOST": "smtp.example.com",
    "SMTP_SECURITY": "starttls",
}

ALLOWED = ["app.example.org", "192.0.2.1", "::1", "2001:db8::1"]

B = "https://b.example"

type SetEnvironment = Callable[..., None]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    """`environment(DEBUG="true")`: the environment contains only these settings."""

    def replace(**values: str) -> None:
        for field in Settings.model_fields:
            monkeypatch.delenv(field.upper(), raising=False)
            monkeypatch.delenv(field, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    replace()
    return replace


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """The path of a `.env` that does not exist yet."""
    return tmp_path / ".env"


def problems(env_file: Path | None = None) -> list[str]:
    """The lines of the error message when loading fails."""
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def problem_with(name: str, env_file: Path | None = None) -> str:
    """Returns the only reported problem, after checking that it is about *name*."""
    (line,) = problems(env_file)
    assert line.startswith(f"{name}: ")
    return line


# Where settings come from


def test_empty_values_count_as_unset(environment: SetEnvironment, env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nSMTP_PASSWORD=\nVERIFY_URL=\n")
    environment(SMTP_PORT="", SECRET_KEY="", DEBUG="")

    settings = load_settings(env_file)

    assert settings.smtp_password is None
    assert settings.smtp_port == Settings.model_fields["smtp_port"].default
    assert settings.verify_url.startswith(settings.base_url)


def test_a_missing_file_is_allowed(environment: SetEnvironment, env_file: Path):
    environment(SECRET_KEY=KEY)

    assert load_settings(env_file).debug is False


def test_a_byte_order_mark_and_windows_line_endings_are_accepted(env_file: Path):
    env_file.write_bytes(b"\xef\xbb\xbf" + f"SECRET_KEY={KEY}\r\nDEBUG=true\r\n".encode())

    assert load_settings(env_file).debug is True


def test_a_binary_file_is_refused_with_a_reason(env_file: Path):
    env_file.write_bytes(b"\xff\xfeS\x00E\x00")

    with pytest.raises(SettingsError, match=r"\.env cannot be read as UTF-8 text"):
        load_settings(env_file)


def test_an_unreadable_file_is_refused_with_a_reason(env_file: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    env_file.write_text(f"SECRET_KEY={KEY}\n")
    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(SettingsError, match="Permission denied"):
        load_settings(env_file)


def test_settings_cannot_be_changed(environment: SetEnvironment):
    environment(SECRET_KEY=KEY)
    settings = load_settings(None)

    with pytest.raises(ValueError, match="frozen"):
        settings.debug = True  # type: ignore[misc]


# All problems in one report, each with a message


def test_unsafe_and_invalid_values_are_reported_together(environment: SetEnvironment):
    environment(ENVIRONMENT="production", SECRET_KEY="changeme" * 4, DEBUG="true", SMTP_PORT="x")

    names = {line.partition(":")[0] for line in problems()}

    assert names == {"SMTP_PORT", "SECRET_KEY", "DEBUG", "BASE_URL", "MAIL_BACKEND", "MAIL_SENDER"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("DEBUG", "ture"),
        ("APP_NAME", "  "),
        ("APP_NAME", "two\nlines"),
        ("SECRET_KEY", "a" * 31),
        ("BASE_URL", "app.example.com"),
        ("BASE_URL", "ftp://app.example.com"),
        ("BASE_URL", "https://app.example.com/?a=b"),
        ("BASE_URL", "https://:443"),
        ("BASE_URL", "https://app.example.com:99999"),
        ("BASE_URL", "https://[::1"),
        ("BASE_URL", "https://app example.com"),
        ("VERIFY_URL", "https://app.example.com/verify"),
        ("RESET_URL", "/reset/{token}"),
        ("USERS_PREFIX", "users"),
        ("USERS_PREFIX", "/users/"),
        ("USERS_PREFIX", "/"),
        ("USERS_PREFIX", "//users"),
        ("USERS_PREFIX", "/{tenant}/users"),
        ("DATABASE_URL", "mysql://user:hunter2@host/name"),
        ("DATABASE_URL", "postgresql://user:hunter2@host"),
        ("DATABASE_URL", "postgresql://user:hunter2@host:port/name"),
        ("DATABASE_URL", "postgresql://user:hunter2@host:99999/name"),
        ("DATABASE_URL", "postgresql://user:hunter2@at@host/name"),
        ("DATABASE_URL", "postgresql://host/name?sslmode=hunter2"),
        ("DATABASE_URL", "postgresql://host/name?options=hunter2"),
        ("DATABASE_POOL_SIZE", "0"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port/0"),
        ("REDIS_URL", "redis://host:99999/0"),
        ("REDIS_URL", "redis://host/first"),
        ("REDIS_URL", "redis://host/0/"),
        ("REDIS_URL", "redis://user:hunter2@at@host/0"),
        ("REDIS_URL", "redis://[::1"),
        ("REDIS_URL", "redis://host/0?timeout=5"),
        ("REDIS_URL", "redis://host/0?socket_timeout=soon"),
        ("REDIS_URL", "rediss://host/0?ssl_cert_reqs=perhaps"),
        ("REDIS_URL", "unix://run/redis.sock"),
        ("REDIS_URL", "unix://"),
        ("REDIS_OUTAGE", "ignore"),
        ("MAIL_BACKEND", "pigeon"),
        ("MAIL_SENDER", "nobody"),
        ("MAIL_SENDER", "a@example.com, b@example.com"),
        ("MAIL_SENDER", "Jürgen <jürgen@example.com>"),
        ("MAIL_SENDER", "App <app@example.com>\nBcc: b@example.com"),
        ("BACKGROUND_WORKER", "none"),
        ("MAIL_MAX_ATTEMPTS", "0"),
        ("SMTP_PORT", "65536"),
        ("SMTP_SECURITY", "ssl"),
        ("SMTP_TIMEOUT", "0"),
        ("PLAINTEXT_HOSTS", "*"),
        ("PLAINTEXT_HOSTS", "10.0.0.0/8"),
        ("PLAINTEXT_HOSTS", "postgres:5432"),
        ("PASSWORD_MIN_LENGTH", "7"),
        ("PASSWORD_MIN_LENGTH", "129"),
        ("PASSWORD_BREACH_URL", "api.pwnedpasswords.com/range"),
        ("PASSWORD_BREACH_URL", "https://api.pwnedpasswords.com/range?mode=ntlm"),
        ("PASSWORD_BREACH_TIMEOUT", "0"),
        ("PASSWORD_BREACH_TIMEOUT", "31"),
        ("PASSWORD_BREACH_TIMEOUT", "nan"),
        ("VERIFY_TTL", "0"),
        ("RESET_TTL", "an hour"),
        ("ACCESS_TTL", "-1"),
        ("EMAIL_CHANGE_TTL", "0"),
        ("EMAIL_CHANGE_URL", "https://app.example.com/email-change"),
        ("SESSION_IDLE", "119"),
        ("SESSION_IDLE", "315360001"),
        ("SESSION_ABSOLUTE", "0"),
        ("SESSION_NOT_REMEMBERED", "a day"),
        ("REFRESH_GRACE", "-1"),
        ("REFRESH_GRACE", "301"),
        ("RECENT_LOGIN", "0"),
        ("COOKIE_SECURE", "maybe"),
        ("DELETION_GRACE_DAYS", "-1"),
        ("DELETION_GRACE_DAYS", "366"),
        ("AUDIT_RETENTION_DAYS", "0"),
        ("AUDIT_RETENTION_DAYS", "36501"),
        ("TRUSTED_PROXIES", "proxy.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "127.0.0.1;10.0.0.0/8"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "1"),
        ("HASH_THREADS", "0"),
        ("HASH_QUEUE", "-1"),
        ("MAX_BODY_SIZE", "1k"),
        ("MAX_HEADER_SIZE", "1023"),
        ("BODY_TIMEOUT", "0"),
        ("BODY_TIMEOUT", "nan"),
        ("REQUEST_TIMEOUT", "-1"),
        ("REQUEST_TIMEOUT", "inf"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "*.example.org"),
        ("ALLOWED_HOSTS", "https://app.example.org"),
        ("ALLOWED_HOSTS", "app.example.org:8000"),
        ("ALLOWED_HOSTS", "app.example.org/"),
        ("ALLOWED_HOSTS", "app.example.org www.example.org"),
        ("ALLOWED_HOSTS", "[::1]:8000"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "front.example.org"),
        ("CORS_ORIGINS", "https://front.example.org/"),
        ("CORS_ORIGINS", "https://front.example.org/path"),
        ("CORS_ORIGINS", "https://front.example.org?a=b"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "https://ada@front.example.org"),
        ("CORS_ORIGINS", "https://front.example.org,*"),
        ("HSTS_MAX_AGE", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("DOCS_ENABLED", "maybe"),
    ],
)
def test_an_invalid_value_is_refused(environment: SetEnvironment, name: str, value: str):
    environment(**{"SECRET_KEY": KEY} | {name: value})

    assert "hunter2" not in problem_with(name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEBUG", "yes", True),
        ("DEBUG", "0", False),
        ("BASE_URL", "https://app.example.com/under/", "https://app.example.com/under"),
        ("BASE_URL", "http://[::1]:8000", "http://[::1]:8000"),
        ("BASE_URL", "HTTPS://app.example.com/Under", "https://app.example.com/Under"),
        ("RESET_URL", "https://front.example.com/#/r?t={token}", "https://front.example.com/#/r?t={token}"),
        ("RESET_URL", "HTTPS://front.example.com/R/{token}", "https://front.example.com/R/{token}"),
        ("USERS_PREFIX", "/api/v1/accounts", "/api/v1/accounts"),
        ("MAIL_SENDER", "My App <app@example.com>", "My App <app@example.com>"),
        ("MAIL_SENDER", "app@bücher.example", "app@xn--bcher-kva.example"),
        ("MAIL_SENDER", "'Bücher' <app@bücher.example>", "'Bücher' <app@xn--bcher-kva.example>"),
        ("MAIL_SENDER", '"A, B" <app@ bücher.example>', '"A, B" <app@xn--bcher-kva.example>'),
        ("PASSWORD_MIN_LENGTH", "8", 8),
        ("PASSWORD_BREACH_URL", "", ""),
        (
            "PASSWORD_BREACH_URL",
            "https://api.pwnedpasswords.com/range/",
            "https://api.pwnedpasswords.com/range",
        ),
        ("SESSION_IDLE", "120", 120),
        ("SESSION_ABSOLUTE", "315360000", 315_360_000),
        ("REFRESH_GRACE", "0", 0),
        ("DELETION_GRACE_DAYS", "365", 365),
        ("AUDIT_RETENTION_DAYS", "36500", 36_500),
        ("COOKIE_SECURE", "false", False),
        ("BODY_TIMEOUT", "0.5", 0.5),
        ("ALLOWED_HOSTS", " App.Example.ORG ,192.0.2.1,, ::1,[2001:DB8::1]", ALLOWED),
        ("ALLOWED_HOSTS", "bücher.example", ["xn--bcher-kva.example"]),
        (
            "CORS_ORIGINS",
            "https://Front.example.org, HTTPS://b.example:443",
            ["https://front.example.org", B],
        ),
        ("CORS_ORIGINS", "http://localhost:5173,http://[::1]:80", ["http://localhost:5173", "http://[::1]"]),
        ("HSTS_MAX_AGE", "0", 0),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("PLAINTEXT_HOSTS", " Postgres ,redis,, [2001:DB8::1]", ["postgres", "redis", "2001:db8::1"]),
    ],
)
def test_a_valid_value_is_accepted(environment: SetEnvironment, name: str, value: str, expected: object):
    environment(**{"SECRET_KEY": KEY, name: value})

    assert getattr(load_settings(None), name.lower()) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@host/name", "postgresql+asyncpg://u:p@host/name"),
        ("postgresql://u:p%40ss@host:5433/name", "postgresql+asyncpg://u:p%40ss@host:5433/name"),
        ("postgresql+asyncpg://host/name", "postgresql+asyncpg://host/name"),
        ("sqlite:////srv/app.db", "sqlite+aiosqlite:////srv/app.db"),
        ("sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite:///:memory:"),
    ],
)
def test_the_database_url_gets_the_installed_driver(environment: SetEnvironment, url: str, expected: str):
    environment(SECRET_KEY=KEY, DATABASE_URL=url)

    assert load_settings(None).database_url.get_secret_value() == expected


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("", []),
        (" ", []),
        (",", []),
        ("127.0.0.1", ["127.0.0.1/32"]),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("::1", ["::1/128"]),
        ("2001:DB8::/32", ["2001:db8::/32"]),
        (" 127.0.0.1 ,10.0.0.0/8,, ::1", ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]),
    ],
)
def test_trusted_proxies_are_addresses_and_networks(
    environment: SetEnvironment, value: str, networks: list[str]
):
    environment(SECRET_KEY=KEY, TRUSTED_PROXIES=value)

    assert [str(each) for each in load_settings(None).trusted_proxies] == networks


def test_trusted_proxies_are_read_from_the_file(env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nTRUSTED_PROXIES=127.0.0.1,10.0.0.0/8\n")

    settings = load_settings(env_file)

    assert [str(each) for each in settings.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/8"]
    assert {name: value for name, value, _ in describe(settings, env_file)}["TRUSTED_PROXIES"] == (
        "127.0.0.1/32,10.0.0.0/8"
    )


def test_no_proxy_is_trusted_by_default(environment: SetEnvironment):
    environment(**PRODUCTION)

    assert load_settings(None).trusted_proxies == []


@pytest.mark.parametrize("value", ["proxy.example.com", "10.0.0.1/8", "*"])
def test_an_invalid_proxy_network_is_explained(environment: SetEnvironment, value: str):
    environment(SECRET_KEY=KEY, TRUSTED_PROXIES=value)

    assert problem_with("TRUSTED_PROXIES") == (
        "TRUSTED_PROXIES: must be a comma-separated list of IP addresses or networks, such as 10.0.0.0/8."
    )


# Contradictions


@pytest.mark.parametrize(("absolute", "not_remembered"), [("43200", ""), ("86400", ""), ("300", "600")])
def test_a_session_must_be_able_to_last_longer_if_it_is_remembered(
    environment: SetEnvironment, absolute: str, not_remembered: str
):
    environment(SECRET_KEY=KEY, SESSION_ABSOLUTE=absolute, SESSION_NOT_REMEMBERED=not_remembered)

    assert f"SESSION_ABSOLUTE, which is {absolute};" in problem_with("SESSION_NOT_REMEMBERED")


# Lists and dicts in an owner's settings


class OwnSettings(Settings):
    colors: list[str] = []
    prices: dict[str, int] = {}


def test_a_list_or_dict_that_is_not_json_is_reported_with_all_other_problems(
    environment: SetEnvironment, env_file: Path
):
    env_file.write_text(f"SECRET_KEY={KEY}\nPRICES=hunter2\n")
    environment(COLORS="red,hunter2", DEBUG="x")

    with pytest.raises(SettingsError) as caught:
        report.read(OwnSettings, env_file)

    assert {line.strip() for line in str(caught.value).splitlines()[1:]} == {
        "COLORS: input should be a valid list, written as JSON.",
        "PRICES: input should be a valid dictionary, written as JSON.",
        "DEBUG: input should be a valid boolean, unable to interpret input.",
    }
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_lists_and_dicts_are_json(environment: SetEnvironment, env_file: Path):
    env_file.write_text(f'SECRET_KEY={KEY}\nPRICES={{"tea": 3}}\n')
    environment(COLORS='["red", "blue"]')

    settings = report.read(OwnSettings, env_file)

    assert (settings.colors, settings.prices) == (["red", "blue"], {"tea": 3})


# Misspelled names in the file


@pytest.mark.parametrize(
    ("line", "name", "meant"),
    [
        ("SMTP_PASWORD=hunter2", "SMTP_PASWORD", "SMTP_PASSWORD"),
        ("DATABSE_URL=x", "DATABSE_URL", "DATABASE_URL"),
        ("export smtp_prot=25", "smtp_prot", "SMTP_PORT"),
    ],
)
def test_a_misspelled_name_in_the_file_is_reported_with_the_right_one(
    env_file: Path, line: str, name: str, meant: str
):
    env_file.write_text(f"SECRET_KEY={KEY}\n{line}\n")

    problem = problem_with(name, env_file)

    assert f"did you mean {meant}?" in problem
    assert "line 2" in problem
    assert "hunter2" not in problem


def test_a_name_without_a_value_is_reported(env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nDEBUG\n")

    assert "write DEBUG=value" in problem_with("DEBUG", env_file)


def test_unknown_names_in_the_environment_are_ignored(environment: SetEnvironment):
    environment(SECRET_KEY=KEY, SMTP_PASWORD="x")

    assert load_settings(None).smtp_password is None


# Production


@pytest.mark.parametrize(
    "networks",
    [
        "127.0.0.1/32,::1/128",
        "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7,fe80::/10",
        "104.64.0.0/10,2600:1400::/24",
        "173.245.48.0/20,104.16.0.0/13,2a06:98c0::/29",
    ],
    ids=["this machine", "private", "Akamai", "Cloudflare"],
)
def test_production_accepts_usual_proxy_networks(environment: SetEnvironment, networks: str):
    environment(**PRODUCTION | {"TRUSTED_PROXIES": networks})

    assert ",".join(str(each) for each in load_settings(None).trusted_proxies) == networks


# Secrets

SECRETS = {
    "SECRET_KEY": "k3y-" + KEY,
    "DATABASE_URL": "postgresql+asyncpg://ada:hunter2@db.example.com/app?password=hunter3",
    "REDIS_URL": "rediss://ada:hunter5@redis.example.com:6380/1?ssl_cert_reqs=none&password=hunter6",
    "SMTP_PASSWORD": "hunter4",
}


@pytest.fixture
def settings(environment: SetEnvironment) -> Settings:
    environment(**SECRETS)
    return load_settings(None)


def test_secrets_are_not_in_a_traceback(environment: SetEnvironment, env_file: Path):
    env_file.write_text("SMTP_PASSWORDS=hunter4\n")
    environment(SECRET_KEY="k3y-short", DATABASE_URL="mysql://ada:hunter2@host/app", DEBUG="x")

    with pytest.raises(SettingsError) as caught:
        load_settings(env_file)

    text = "".join(traceback.format_exception(caught.value))
    assert "SECRET_KEY: " in text
    assert all(secret not in text for secret in ("k3y-", "hunter2", "hunter4"))


def test_a_settings_object_built_in_code_does_not_show_secrets():
    too_short = "k3y-"[::-1]

    with pytest.raises(ValueError, match="secret_key") as caught:
        Settings(_env_file=None, secret_key=too_short)  # type: ignore[call-arg,arg-type]

    assert too_short not in "".join(traceback.format_exception(caught.value))


# Settings derived from others


def test_configured_links_are_kept(environment: SetEnvironment):
    environment(SECRET_KEY=KEY, VERIFY_URL="https://front.example.com/v/{token}")

    settings = load_settings(None)

    assert settings.verify_url == "https://front.example.com/v/{token}"
    assert settings.reset_url.startswith(settings.base_url)


@pytest.mark.parametrize(
    ("values", "worker", "docs"),
    [
        ({"SECRET_KEY": KEY}, "inline", True),
        ({"SECRET_KEY": KEY, "ENVIRONMENT": "test"}, "separate", True),
        (PRODUCTION, "separate", False),
        (PRODUCTION | {"BACKGROUND_WORKER": "inline", "DOCS_ENABLED": "true"}, "inline", True),
    ],
    ids=["development", "test", "production", "set"],
)
def test_the_defaults_of_worker_and_docs_depend_on_the_environment(
    environment: SetEnvironment, values: dict[str, str], worker: str, docs: bool
):
    environment(**values)

    settings = load_settings(None)

    assert (settings.background_worker, settings.docs_enabled) == (worker, docs)


@pytest.mark.parametrize(
    ("values", "hosts"),
    [
        ({"SECRET_KEY": KEY}, []),
        ({"SECRET_KEY": KEY, "BASE_URL": "https://app.example.com"}, []),
        (PRODUCTION, ["app.example.com"]),
        (PRODUCTION | {"BASE_URL": "https://APP.example.com:8443/under"}, ["app.example.com"]),
        (PRODUCTION | {"BASE_URL": "https://[2001:DB8::1]"}, ["2001:db8::1"]),
        (PRODUCTION | {"BASE_URL": "https://bücher.example"}, ["xn--bcher-kva.example"]),
        (PRODUCTION | {"ALLOWED_HOSTS": "a.example,b.example"}, ["a.example", "b.example"]),
    ],
)
def test_production_serves_the_host_of_the_base_url(
    environment: SetEnvironment, values: dict[str, str], hosts: list[str]
):
    environment(**values)

    assert load_settings(None).allowed_hosts == hosts


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ({"SECRET_KEY": KEY}, "text"),
        (PRODUCTION, "json"),
        (PRODUCTION | {"LOG_FORMAT": "text"}, "text"),
    ],
)
def test_production_logs_for_machines(environment: SetEnvironment, values: dict[str, str], form: str):
    environment(**values)

    settings = load_settings(None)

    assert (settings.log_format, settings.log_level) == (form, "INFO")


@pytest.mark.parametrize(("cores", "threads"), [(None, 2), (1, 2), (6, 3), (8, 4), (32, 4)])
def test_few_passwords_are_hashed_at_once_by_default(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int
):
    """A container sees all of the machine's cores, but may have only a fraction of its memory."""
    environment(SECRET_KEY=KEY)
    monkeypatch.setattr("os.cpu_count", lambda: cores)

    assert load_settings(None).hash_threads == threads


def test_no_cors_origin_is_allowed_by_default(environment: SetEnvironment):
    environment(**PRODUCTION)

    assert load_settings(None).cors_origins == []


def test_unsafe_values_are_reported_beside_invalid_ones_with_computed_defaults(
    environment: SetEnvironment,
):
    environment(ENVIRONMENT="production", SECRET_KEY=KEY, ALLOWED_HOSTS="*", LOG_FORMAT="xml")

    assert {line.partition(":")[0] for line in problems()} == {
        "ALLOWED_HOSTS",
        "LOG_FORMAT",
        "BASE_URL",
        "MAIL_BACKEND",
        "MAIL_SENDER",
    }


# Display on the command line


def test_describe_names_the_source_of_every_setting(environment: SetEnvironment, env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nsmtp_port=26\nDEBUG=\n")
    environment(SMTP_PORT="27", app_name="Mine")

    rows = {name: (value, source) for name, value, source in describe(load_settings(env_file), env_file)}

    assert set(rows) == {field.upper() for field in Settings.model_fields}
    assert rows["SECRET_KEY"] == ("**********", ".env")
    assert rows["SMTP_PORT"] == ("27", "environment")
    assert rows["APP_NAME"] == ("Mine", "environment")
    assert rows["DEBUG"] == ("False", "default")
    assert rows["SMTP_PASSWORD"] == ("", "default")


def test_describe_shows_the_database(settings: Settings):
    rows = {name: value for name, value, _ in describe(settings, None)}

    assert rows["DATABASE_URL"] == "postgresql+asyncpg://ada:***@db.example.com/app"
    assert rows["REDIS_URL"] == "rediss://ada:***@redis.example.com:6380/1"


def test_an_own_secret_that_is_a_url_is_masked(environment: SetEnvironment):
    """A webhook's path is a secret."""

    class WithWebhook(Settings):
        slack_webhook_url: SecretStr = SecretStr("")

    environment(SECRET_KEY=KEY)
    empty = {name: value for name, value, _ in describe(report.read(WithWebhook, None), None)}
    environment(SECRET_KEY=KEY, SLACK_WEBHOOK_URL="https://hooks.slack.com/services/hunter2")
    rows = {name: value for name, value, _ in describe(report.read(WithWebhook, None), None)}

    assert (empty["SLACK_WEBHOOK_URL"], rows["SLACK_WEBHOOK_URL"]) == ("", "**********")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1", "redis://127.0.0.1"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://:hunter2%40at@host", "redis://:***@host"),
        ("rediss://ada:hunter2@host:6380/15?ssl_ca_certs=ca.pem", "rediss://ada:***@host:6380/15"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("unix://ada:hunter2@/run/redis.sock", "unix://ada:***@/run/redis.sock"),
    ],
)
def test_every_kind_of_redis_url_is_accepted_and_shown(environment: SetEnvironment, url: str, shown: str):
    environment(SECRET_KEY=KEY, REDIS_URL=url)

    settings = load_settings(None)

    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url
    assert {name: value for name, value, _ in describe(settings, None)}["REDIS_URL"] == shown


def test_redis_is_unset_by_default_and_its_outage_is_tolerated(environment: SetEnvironment):
    environment(SECRET_KEY=KEY)

    settings = load_settings(None)

    assert (settings.redis_url, settings.redis_outage) == (None, "memory")


# Earlier secret keys

EARLIER = [sha256(f"secret {number}".encode()).hexdigest() for number in range(4)]


def test_earlier_keys_are_separated_by_commas(environment: SetEnvironment):
    environment(**PRODUCTION, SECRET_KEY_FALLBACKS=f"{EARLIER[0]}, {EARLIER[1]},")

    fallbacks = load_settings(None).secret_key_fallbacks

    assert [each.get_secret_value() for each in fallbacks] == EARLIER[:2]


def test_there_are_no_earlier_keys_by_default(environment: SetEnvironment):
    environment(**PRODUCTION)

    assert load_settings(None).secret_key_fallbacks == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"{EARLIER[0]},{EARLIER[1][:31]}", "at least 32 characters"),
        (",".join(EARLIER), "at most 3 keys"),
        (f"{EARLIER[0]},{EARLIER[0]}", "the same key twice"),
        (f"{EARLIER[0]},{KEY}", "must not contain SECRET_KEY"),
        ("please-change-me-before-you-deploy-0123456789", "must be random"),
        (f"{EARLIER[0]},{'a' * 64}", "must be random"),
    ],
)
def test_earlier_keys_are_checked_like_the_current_key(environment: SetEnvironment, value: str, reason: str):
    environment(**PRODUCTION, SECRET_KEY_FALLBACKS=value)

    sentence = problem_with("SECRET_KEY_FALLBACKS")

    assert reason in sentence
    assert all(each[:31] not in sentence for each in value.split(","))


def test_earlier_keys_are_masked(environment: SetEnvironment, env_file: Path):
    environment(**PRODUCTION, SECRET_KEY_FALLBACKS=",".join(EARLIER[:2]))

    rows = {name: value for name, value, _ in describe(load_settings(env_file), env_file)}

    assert rows["SECRET_KEY_FALLBACKS"] == "**********,**********"


def test_every_lifetime_has_a_maximum_in_production():
    """`Seconds` by itself allows up to ten years."""
    lifetimes = {name for name, field in Settings.model_fields.items() if Le(3650 * DAY) in field.metadata}

    assert lifetimes == {*MAX_IN_PRODUCTION, "hsts_max_age"}
