"""Where the routes are mounted, and what runs before all of them."""

import httpx
import pytest

from app.users import init_users, resolve_user_manager
from app.web import App, Problem

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
ROUTES = [
    ("POST", "/register"),
    ("POST", "/login"),
    ("GET", "/me"),
    ("POST", "/verify/request"),
    ("GET", "/verify/x"),
    ("POST", "/verify/x"),
    ("POST", "/password-reset/request"),
    ("GET", "/password-reset/x"),
    ("POST", "/password-reset/x"),
]


@pytest.fixture
def bare():
    """An application without users."""
    return App(title="Test", version="1", description="", max_body_size=1000)


def connect(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.mark.parametrize("prefix", ["/accounts", "/api/v1/users"])
async def test_every_route_uses_the_prefix(other_client, mailed_token, prefix):
    client = await other_client(users_prefix=prefix)

    registered = await client.post(f"{prefix}/register", json=ADA)
    page = await client.get(f"{prefix}/verify/{await mailed_token()}")
    verified = await client.post(
        f"{prefix}/verify/{await mailed_token()}", json={"password": ADA["password"]}
    )
    logged_in = await client.post(f"{prefix}/login", json=ADA)

    answers = [registered, page, verified, logged_in]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_route_remains_without_the_prefix(other_client, method, path):
    client = await other_client(users_prefix="/accounts")

    assert (await client.request(method, f"/users{path}")).status_code == 404


async def test_the_mailed_link_uses_the_prefix(other_client, outbox):
    client = await other_client(users_prefix="/accounts", base_url="https://shop.example")

    await client.post("/accounts/register", json=ADA)

    (mail,) = await outbox()
    assert "https://shop.example/accounts/verify/" in mail.text_body


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_has_a_rate_limiter(bare, manager, method, path):
    """The rate limiter also applies to registration, verification and e-mailed links."""

    async def refuse(request):
        raise Problem(429, "Later.", headers={"Retry-After": "60"})

    init_users(bare, manager=manager, rate_limiter=refuse)

    async with connect(bare) as client:
        answer = await client.request(method, f"/users{path}", content=b"not even JSON")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


async def test_routes_may_be_left_out(bare, manager):
    init_users(bare, manager=manager, mount_routes=False)

    async with connect(bare) as client:
        assert (await client.post("/users/register", json=ADA)).status_code == 404
    assert resolve_user_manager(bare) is manager


def test_an_application_without_users_has_no_manager(bare):
    assert resolve_user_manager(bare) is None
    assert resolve_user_manager(None) is None


# Your own tests go below; template updates never touch them.
