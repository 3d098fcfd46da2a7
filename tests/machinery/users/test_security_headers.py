"""Security headers, and settings with which production refuses to start. Checklist 30 and 40."""

import re
from hashlib import sha256
from itertools import count

import httpx
import pytest
from hawkapi.responses.response import Response

from app.settings import Settings, SettingsError, load_settings
from app.users import CurrentUser

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
    """`async with connected_to(app) as client:` for an application created by the test."""
    return lambda app: httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://test")


@pytest.fixture
def production(build_app, connected_to):
    """`async with production() as client:` a client of the application as production runs it."""
    return lambda: connected_to(build_app(**PRODUCTION))


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_response_has_the_security_headers(production, method, path, status):
    """Checklist 40: ASVS 3.4.1, 3.4.3 to 3.4.6."""
    async with production() as client:
        answer = await client.request(method, path)

    [policy] = answer.headers.get_list("content-security-policy")
    rules = {each.strip() for each in policy.split(";")}
    assert answer.status_code == status
    assert {"object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= rules
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]


@pytest.mark.parametrize("path", ["/users/verify/a", "/users/password-reset/a", "/users/email-change/a"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_response_to_a_link_leaks_its_token(client, method, path):
    """Checklist 30: ASVS 3.4.5, 14.3.2."""
    answer = await client.request(method, path)

    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}],
)
async def test_links_ignore_the_host_of_the_request(client, make_user, outbox, headers):
    """Checklist 30: links are built from BASE_URL."""
    user = await make_user()

    await client.post("/users/password-reset/request", json={"email": user.email}, headers=headers)

    [mail] = await outbox()
    assert "http://test/users/password-reset/" in mail.text_body
    assert "evil.example" not in mail.text_body + (mail.html_body or "")


async def test_production_accepts_only_its_own_host_names(production, make_user, outbox):
    """Checklist 30: a forged host name never reaches the routes."""
    user = await make_user()

    async with production() as client:
        answer = await client.post(
            "/users/password-reset/request", json={"email": user.email}, headers={"Host": "evil.example"}
        )

    assert answer.status_code == 400
    assert await outbox() == []


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_off_in_production(production, path):
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


# Caches


@pytest.fixture
def operations(app):
    """Every method and path of the users routes and of the pages of e-mailed links."""
    documented = [
        (method.upper(), path)
        for path, of_path in app.openapi()["paths"].items()
        for method in of_path
        if path.startswith("/users")
    ]
    pages = ("verify", "password-reset", "email-change", "invitation")
    return [*documented, *[("GET", f"/users/{page}/a-token") for page in pages]]


@pytest.mark.parametrize("kind", ["bearer", "cookie"])
async def test_responses_to_users_are_not_cached(
    client, operations, make_user, begin_session, headers_of, kind
):
    """Advisory 37; ASVS 14.3.2: this applies to every route, whatever its response."""
    numbers = count()

    async def send(method, path):
        user = await make_user(f"root{next(numbers)}@example.com", is_superuser=True, is_verified=True)
        headers = headers_of(await begin_session(user, kind=kind))
        url = re.sub(r"\{\w+\}", "1", path)
        return await client.request(method, url, json={}, headers=headers)

    answers = {each: await send(*each) for each in operations}

    assert ("POST", "/users/logout") in answers
    assert ("GET", "/users/me/export") in answers
    assert {each.headers.get("cache-control") for each in answers.values()} == {"no-store"}, answers


OWN = [
    Response("<p>Ada</p>", content_type="text/html"),
    Response("Ada", content_type="text/plain"),
    Response(status_code=204),
    Response(status_code=303, headers={"Location": "/elsewhere"}),
    Response("Ada", status_code=500, content_type="text/html"),
]


@pytest.fixture
def own_route(build_app):
    """`own_route(answer)`: an application whose `/mine` returns that response to a logged-in user."""

    def build(answer):
        app = build_app()

        @app.get("/mine")
        async def mine(user: CurrentUser) -> Response:
            return answer

        return app

    return build


@pytest.mark.parametrize("answer", OWN, ids=lambda answer: f"{answer.status_code} {answer.content_type}")
@pytest.mark.parametrize("kind", ["bearer", "cookie"])
async def test_responses_of_your_own_routes_to_users_are_not_cached(
    own_route, connected_to, make_user, begin_session, headers_of, kind, answer
):
    """Advisory 37: pages and redirects have no Cache-Control of their own."""
    headers = headers_of(await begin_session(await make_user(), kind=kind))

    async with connected_to(own_route(answer)) as client:
        received = await client.get("/mine", headers=headers)

    assert received.status_code == answer.status_code
    assert received.headers.get_list("cache-control") == ["no-store"]


async def test_your_own_route_may_allow_browser_caching(
    own_route, connected_to, make_user, begin_session, headers_of
):
    headers = headers_of(await begin_session(await make_user()))
    answer = Response("Ada", headers={"Cache-Control": "private, max-age=60"})

    async with connected_to(own_route(answer)) as client:
        received = await client.get("/mine", headers=headers)

    assert received.headers.get_list("cache-control") == ["private, max-age=60"]
