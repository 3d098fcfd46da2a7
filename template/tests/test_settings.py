"""Settings: their sources, the errors for invalid values, and the masking of secrets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.settings import MAX_IN_PRODUCTION, Settings, SettingsError, describe, load_settings
from tests.conftest import OWN_REQUIRED, PRODUCTION

KEY = PRODUCTION["SECRET_KEY"]

type SetEnvironment = Callable[..., None]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    """`environment(DEBUG="true")` leaves only these settings and OWN_REQUIRED in the environment."""

    def replace(**values: str) -> None:
        for field in Settings.model_fields:
            monkeypatch.delenv(field.upper(), raising=False)
            monkeypatch.delenv(field, raising=False)
        for name, value in (OWN_REQUIRED | values).items():
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


def test_development_needs_a_secret_key_and_nothing_else(environment: SetEnvironment):
    environment(SECRET_KEY=KEY)

    settings = load_settings(None)

    assert settings.environment == "development"
    assert settings.secret_key.get_secret_value() == KEY
    assert settings.database_url.get_secret_value() == "sqlite+aiosqlite:///data/app.db"


def test_the_error_for_a_missing_secret_key_says_where_to_set_it():
    assert ".env" in problem_with("SECRET_KEY")


def test_the_env_file_is_read(env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nAPP_NAME='Café \"Ünïcode\" 🦅'\n", "utf-8")

    assert load_settings(env_file).app_name == 'Café "Ünïcode" 🦅'


def test_the_environment_overrides_the_file(environment: SetEnvironment, env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nSMTP_PORT=26\nVERIFY_TTL=60\n")
    environment(SMTP_PORT="27")

    settings = load_settings(env_file)

    assert (settings.smtp_port, settings.verify_ttl) == (27, 60)


# All problems in one report, each with a message


def test_all_problems_are_reported_together(environment: SetEnvironment, env_file: Path):
    env_file.write_text("SMTP_PASWORD=hunter2\nthis is no setting\n")
    environment(SECRET_KEY="short", DEBUG="ture", SMTP_PORT="99999", BASE_URL="nowhere")

    found = problems(env_file)

    assert [line.partition(":")[0] for line in found] == [
        "DEBUG",
        "SECRET_KEY",
        "BASE_URL",
        "SMTP_PORT",
        "SMTP_PASWORD",
        f"{env_file}, line 2",
    ]


# Misspelled names in the file


def test_an_unknown_name_is_reported_with_where_to_declare_it(env_file: Path):
    env_file.write_text(f"SECRET_KEY={KEY}\nWEATHER=fine\n")

    assert "app/settings.py" in problem_with("WEATHER", env_file)


# Production


def test_a_complete_production_configuration_is_accepted(environment: SetEnvironment):
    environment(**PRODUCTION)

    assert load_settings(None).environment == "production"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("SECRET_KEY", {"SECRET_KEY": ""}),
        ("SECRET_KEY", {"SECRET_KEY": KEY[:31]}),
        ("SECRET_KEY", {"SECRET_KEY": "please-change-me-before-you-deploy-0123456789"}),
        ("SECRET_KEY", {"SECRET_KEY": "this-is-the-SECRET-key-of-our-application"}),
        ("SECRET_KEY", {"SECRET_KEY": "a-placeholder-of-more-than-32-characters"}),
        ("SECRET_KEY", {"SECRET_KEY": "a" * 64}),
        ("SECRET_KEY", {"SECRET_KEY": "012345678" * 7}),
        ("SECRET_KEY", {"SECRET_KEY": "0123456789" * 4}),
        ("SECRET_KEY", {"SECRET_KEY": "abcdefghijklmnopqrstuvwxyz0123456789"}),
        ("SECRET_KEY", {"SECRET_KEY": "kT7!xQ2#zL9$" * 3}),
        ("DEBUG", {"DEBUG": "true"}),
        ("BASE_URL", {"BASE_URL": ""}),
        ("BASE_URL", {"BASE_URL": "http://app.example.com"}),
        ("VERIFY_URL", {"VERIFY_URL": "http://app.example.com/{token}"}),
        ("RESET_URL", {"RESET_URL": "http://app.example.com/{token}"}),
        ("EMAIL_CHANGE_URL", {"EMAIL_CHANGE_URL": "http://app.example.com/{token}"}),
        ("PASSWORD_BREACH_URL", {"PASSWORD_BREACH_URL": "http://breaches.example.com/range"}),
        ("COOKIE_SECURE", {"COOKIE_SECURE": "false"}),
        ("RATE_LIMITS", {"RATE_LIMITS": "false"}),
        ("MAIL_BACKEND", {"MAIL_BACKEND": ""}),
        ("MAIL_BACKEND", {"MAIL_BACKEND": "console"}),
        ("MAIL_BACKEND", {"MAIL_BACKEND": "memory"}),
        ("MAIL_SENDER", {"MAIL_SENDER": ""}),
        ("SMTP_HOST", {"SMTP_HOST": ""}),
        ("SMTP_SECURITY", {"SMTP_PASSWORD": "hunter2", "SMTP_SECURITY": "none"}),
        ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": ","}),
        ("CORS_ORIGINS", {"CORS_ORIGINS": "https://front.example.org,http://front.example.org"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "0.0.0.0/0"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "10.0.0.1,128.0.0.0/1"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "64.0.0.0/7"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "::/0"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "2000::/3"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "2002::/16"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "2400::/19"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "fc00::/6"}),
    ],
)
def test_production_refuses_unsafe_settings_in_one_sentence(
    environment: SetEnvironment, name: str, changes: dict[str, str]
):
    environment(**PRODUCTION | changes)

    problem = problem_with(name)

    assert problem.endswith(".")
    assert "hunter2" not in problem
    assert (changes.get("SECRET_KEY") or "no value") not in problem


@pytest.mark.parametrize("name", MAX_IN_PRODUCTION)
def test_production_refuses_a_lifetime_that_is_too_long(environment: SetEnvironment, name: str):
    """Checklist 40."""
    longest = MAX_IN_PRODUCTION[name]
    environment(**PRODUCTION | {name.upper(): str(longest + 1)})

    assert f"must be at most {longest} seconds" in problem_with(name.upper())


def test_production_accepts_the_longest_lifetimes(environment: SetEnvironment):
    environment(**PRODUCTION | {name.upper(): str(value) for name, value in MAX_IN_PRODUCTION.items()})

    settings = load_settings(None)

    assert {name: getattr(settings, name) for name in MAX_IN_PRODUCTION} == MAX_IN_PRODUCTION


@pytest.mark.parametrize("name", ["development", "test"])
def test_values_refused_in_production_are_allowed_elsewhere(environment: SetEnvironment, name: str):
    unsafe = {"DEBUG": "true", "MAIL_BACKEND": "memory", "COOKIE_SECURE": "false"}
    environment(ENVIRONMENT=name, SECRET_KEY="change-me" * 4, **unsafe)

    settings = load_settings(None)

    assert (settings.debug, settings.cookie_secure) == (True, False)


def test_private_registration_is_refused_without_verification(environment: SetEnvironment):
    environment(SECRET_KEY=KEY, REGISTRATION="private", LOGIN_REQUIRES_VERIFICATION="false")

    assert "would reveal that the address had no account" in problem_with("LOGIN_REQUIRES_VERIFICATION")


def test_with_private_registration_logins_require_verification(environment: SetEnvironment):
    environment(SECRET_KEY=KEY, REGISTRATION="private")

    assert load_settings(None).login_requires_verification


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


@pytest.mark.parametrize(
    "shown",
    [repr, str, lambda each: str(each.model_dump()), lambda each: each.model_dump_json(), describe],
    ids=["repr", "str", "model_dump", "model_dump_json", "describe"],
)
def test_secrets_are_masked_in_every_view_of_the_settings(
    settings: Settings, shown: Callable[[Settings], object]
):
    text = str(shown(settings))

    assert all(secret not in text for secret in ("k3y-", "hunter"))


# Settings derived from others


def test_links_point_to_this_application_by_default(environment: SetEnvironment):
    environment(SECRET_KEY=KEY, BASE_URL="https://app.example.com/", USERS_PREFIX="/accounts")

    settings = load_settings(None)

    assert settings.verify_url == "https://app.example.com/accounts/verify/{token}"
    assert settings.reset_url == "https://app.example.com/accounts/password-reset/{token}"
    assert settings.email_change_url == "https://app.example.com/accounts/email-change/{token}"


# Display on the command line


@pytest.mark.parametrize("field", list(Settings.model_fields))
def test_every_setting_is_explained(field: str):
    assert Settings.model_fields[field].description


# Your own tests go below; template updates never touch them.
