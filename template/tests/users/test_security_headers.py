"""What answers say to browsers, and what production does not start with. Checklist 30 and 40."""

from hashlib import sha256

import httpx
import pytest

from app.settings import Settings, SettingsError, load_settings

KEY = sha256(b"the secret of the tests").hexdigest()
PRODUCTION = {
    "environment": "production",
    "secret_key": KEY,
    "base_url": "https://test",
    "mail_backend": "smtp",
    "mail_sender": "app@example.com",
    "smtp_host": "smtp.example.com",
    "smtp_security": "starttls",
}
ANSWERS = [
    ("GET", "/users/me", 401),
    ("HEAD", "/users/me", 401),
    ("POST", "/users/login", 400),
    ("GET", "/users/verify/a-token", 400),
    ("GET", "/users/password-reset/a-token", 400),
    ("GET", "/users/email-change/a-token", 400),
    ("POST", "/users/verify/a-token", 400),
    ("GET", "/livez", 200),
    ("GET", "/nowhere", 404),
    ("PUT", "/users/login", 405),
]


@pytest.fixture
def connected_to():
    """`async with connected_to(app) as client:` for an application of the test's own."""
    return lambda app: httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://test")


@pytest.fixture
def production(build_app, connected_to):
    """`async with production() as client:` a client of the application as production runs it."""
    return lambda: connected_to(build_app(**PRODUCTION))


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_answer_tells_browsers_to_be_careful(production, method, path, status):
    """Checklist 40: ASVS 3.4.1, 3.4.3 to 3.4.6."""
    async with production() as client:
        answer = await client.request(method, path)

    [policy] = answer.headers.get_list("content-security-policy")
    rules = {each.strip() for each in policy.split(";")}
    assert answer.status_code == status
    assert {"object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= rules
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000; includeSubDomains"]


@pytest.mark.parametrize("path", ["/users/verify/a", "/users/password-reset/a", "/users/email-change/a"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_answer_to_a_link_passes_its_token_on(client, method, path):
    """Checklist 30: ASVS 3.4.5, 14.3.2."""
    answer = await client.request(method, path)

    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}],
)
async def test_links_do_not_lead_where_a_request_says(client, make_user, outbox, headers):
    """Checklist 30: they are built from BASE_URL."""
    user = await make_user()

    await client.post("/users/password-reset/request", json={"email": user.email}, headers=headers)

    [mail] = await outbox()
    assert "http://test/users/password-reset/" in mail.text_body
    assert "evil.example" not in mail.text_body + (mail.html_body or "")


async def test_production_answers_under_its_own_name_alone(production, make_user, outbox):
    """Checklist 30: a name that somebody made up does not reach the routes at all."""
    user = await make_user()

    async with production() as client:
        answer = await client.post(
            "/users/password-reset/request", json={"email": user.email}, headers={"Host": "evil.example"}
        )

    assert answer.status_code == 400
    assert await outbox() == []


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_closed_in_production(production, path):
    """Checklist 40: ASVS 13.4.5."""
    async with production() as client:
        assert (await client.get(path)).status_code == 404


async def test_an_unexpected_error_is_not_shown_in_production(build_app, connected_to):
    """Checklist 40: ASVS 13.4.2."""
    app = build_app(**PRODUCTION)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the inside of the application")

    async with connected_to(app) as client:
        answer = await client.get("/broken")

    assert answer.status_code == 500
    assert "inside" not in answer.text


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"secret_key": "please-change-me-before-you-deploy-0123456789"}, "SECRET_KEY"),
        ({"secret_key": "a" * 64}, "SECRET_KEY"),
        ({"secret_key": ""}, "SECRET_KEY"),
        ({"debug": "true"}, "DEBUG"),
    ],
)
def test_production_does_not_start_with_a_placeholder_or_with_debug_on(monkeypatch, changes, name):
    """Checklist 40: ASVS 13.4.2."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for field, value in (PRODUCTION | changes).items():
        monkeypatch.setenv(field.upper(), value)

    with pytest.raises(SettingsError, match=f"{name}: "):
        load_settings(None)
