"""A missing setting or service grants no access: the application does not start, or the default denies
access.

Advisory 32; CWE-636.
"""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import pytest
from hawkapi import Depends

from app.limits import limited
from app.settings import Settings, SettingsError, load_settings
from app.users import CurrentUser, OptionalUser
from app.web import App

REQUIRED = {
    "SECRET_KEY": sha256(b"the secret of the tests").hexdigest(),
    "BASE_URL": "https://test",
    "MAIL_BACKEND": "smtp",
    "MAIL_SENDER": "app@example.com",
    "SMTP_HOST": "smtp.example.com",
    "SMTP_SECURITY": "starttls",
}
PRODUCTION = REQUIRED | {"ENVIRONMENT": "production"}
"""The minimum settings with which production starts."""
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
START = datetime(2030, 1, 1, 12, tzinfo=UTC)


def values_of(environment):
    return {name.lower(): value for name, value in environment.items()}


def connect(app):
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 50000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://test")


@pytest.fixture
def load_from(monkeypatch):
    """`load_from({"DEBUG": "true"})`: the settings from these variables only."""

    def load(environment):
        with monkeypatch.context() as patch:
            for field in Settings.model_fields:
                patch.delenv(field.upper(), raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            return load_settings(None)

    return load


@pytest.fixture
async def bare(app, build_app, quick_hashing):
    """A client of an application with only the settings that production requires."""
    async with connect(build_app(**values_of(PRODUCTION))) as client:
        yield client


# Startup


@pytest.mark.parametrize("name", ["SECRET_KEY", "BASE_URL", "MAIL_BACKEND", "MAIL_SENDER", "SMTP_HOST"])
def test_production_does_not_start_without_a_required_setting(load_from, name):
    """Advisory 32."""
    without = {each: value for each, value in PRODUCTION.items() if each != name}

    for environment in (without, PRODUCTION | {name: ""}):
        with pytest.raises(SettingsError, match=f"{name}: "):
            load_from(environment)


@pytest.mark.parametrize("name", sorted({each.upper() for each in Settings.model_fields} - set(PRODUCTION)))
def test_an_empty_setting_counts_as_missing(load_from, name):
    """Advisory 32: an empty value does not mean "none", "nobody" or "everybody"."""
    assert load_from(PRODUCTION | {name: ""}) == load_from(PRODUCTION)


def test_production_does_not_start_with_an_empty_list_of_hosts(load_from):
    """Advisory 32: an empty list would allow every host."""
    with pytest.raises(SettingsError, match="ALLOWED_HOSTS: "):
        load_from(PRODUCTION | {"ALLOWED_HOSTS": " , "})


@pytest.mark.parametrize("name", ["CORS_ORIGINS", "TRUSTED_PROXIES"])
def test_an_empty_list_of_origins_or_proxies_allows_none(load_from, name):
    """Advisory 32."""
    assert load_from(PRODUCTION | {name: " , "}) == load_from(PRODUCTION)


# The routes


@pytest.mark.parametrize("environment", [PRODUCTION, {"SECRET_KEY": REQUIRED["SECRET_KEY"]}], ids=len)
async def test_every_guarded_route_requires_a_login(app, build_app, environment):
    """Advisory 32: this applies even if ENVIRONMENT is missing, which means development."""
    guarded = [
        (method.upper(), re.sub(r"\{\w+\}", "1", path))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") and {} not in operation["security"]
    ]

    async with connect(build_app(**values_of(environment))) as client:
        statuses = {each: (await client.request(*each, json={})).status_code for each in guarded}

    assert ("GET", "/users") in statuses
    assert set(statuses.values()) == {401}, statuses


@pytest.mark.parametrize(
    ("missing", "method", "path", "headers", "status"),
    [
        ("ALLOWED_HOSTS", "GET", "/users/me", {"Host": "evil.example"}, 400),
        ("DOCS_ENABLED", "GET", "/docs", {}, 404),
        ("DOCS_ENABLED", "GET", "/openapi.json", {}, 404),
        ("CORS_ORIGINS", "OPTIONS", "/users/me", {"Access-Control-Request-Method": "GET"}, 405),
        ("MAX_HEADER_SIZE", "GET", "/users/me", {"X-Long": "a" * 17_000}, 431),
    ],
)
async def test_requests_that_a_missing_setting_would_allow_are_refused(
    bare, missing, method, path, headers, status
):
    """Advisory 32."""
    answer = await bare.request(method, path, headers={"Origin": "https://evil.example"} | headers)

    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("missing", "body", "status"),
    [
        ("MAX_BODY_SIZE", ADA | {"email": "a" * 1_100_000}, 413),
        ("PASSWORD_MIN_LENGTH", ADA | {"password": "v8Kq-ty3WZs"}, 400),
    ],
)
async def test_a_body_that_a_missing_setting_would_allow_is_refused(bare, missing, body, status):
    """Advisory 32."""
    assert (await bare.post("/users/register", json=body)).status_code == status


async def test_the_cookie_is_secure_by_default(bare, make_user):
    """Advisory 32."""
    await make_user("ada@example.com")

    answers = [
        await bare.post("/users/login/cookie", json=ADA, headers={"Origin": origin})
        for origin in ("https://evil.example", "https://test")
    ]

    assert [each.status_code for each in answers] == [403, 200]
    for cookie in answers[1].headers.get_list("set-cookie"):
        assert cookie.startswith("__Host-")
        assert {"Secure", "HttpOnly"} <= set(cookie.split("; "))


async def test_forwarded_headers_are_ignored_by_default(bare, events):
    """Advisory 32 and 35."""
    await bare.post("/users/login", json=ADA, headers={"X-Forwarded-For": "198.51.100.7"})

    assert [each.ip_address for each in await events()] == ["203.0.113.9"]


async def test_wrong_passwords_are_counted_without_redis(bare, make_user):
    """Advisory 32: the process itself counts them."""
    await make_user("ada@example.com")

    wrong = [(await bare.post("/users/login", json=ADA | {"password": "x"})).status_code for _ in range(12)]

    assert (wrong[0], wrong[-1]) == (401, 429)
    assert (await bare.post("/users/login", json=ADA)).status_code == 429


@pytest.mark.parametrize("remember", [True, False])
async def test_sessions_end_with_default_lifetimes(bare, make_user, set_clock, headers_of_answer, remember):
    """Advisory 32."""
    set_clock(START)
    await make_user("ada@example.com")
    login = ADA | {"remember": remember}
    answer = await bare.post("/users/login/cookie", json=login, headers={"Origin": "https://test"})
    cookie = headers_of_answer(answer)

    set_clock(START + timedelta(hours=1))
    recent = await bare.get("/users/me/export", headers=cookie)
    set_clock(START + timedelta(days=15))
    idle = await bare.get("/users/me", headers=cookie)

    assert (recent.status_code, idle.status_code) == (403, 401)


# The services


async def test_a_guard_without_its_service_refuses_everyone(settings):
    """Advisory 32: the application here has neither accounts nor limits."""
    app = App(title="Bare", version="1.0.0", description="", max_body_size=1000, settings=settings)

    @app.get("/mine")
    async def mine(user: CurrentUser) -> str:
        return "in"

    @app.get("/everybody")
    async def everybody(user: OptionalUser) -> str:
        return "in"

    @app.get("/limited", dependencies=[Depends(limited("1/m"))])
    async def seldom() -> str:
        return "in"

    async with connect(app) as client:
        answers = [await client.get(path) for path in ("/mine", "/everybody", "/limited")]

    assert [each.status_code for each in answers] == [500, 500, 500]
