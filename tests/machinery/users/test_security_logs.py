"""No password or token is logged. In addition, `tests/log_guard.py` checks every test run."""

import json
import logging

import pytest

from app.logs import JsonFormatter, TextFormatter

PASSWORD = "correct horse battery"
OTHER = "a brand new password"


@pytest.fixture
def log():
    """All log records, DEBUG included."""
    records = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append
    logging.getLogger("app").addHandler(handler)
    yield records
    logging.getLogger("app").removeHandler(handler)


@pytest.fixture
def shown(log):
    """`shown()`: all records as one string, unredacted."""
    return lambda: "\n".join(f"{each.getMessage()} {vars(each)}" for each in log)


@pytest.fixture
def access(log):
    """`access()`: the lines of the access log."""
    return lambda: [each for each in log if each.name == "app.access"]


async def test_a_life_of_an_account_leaves_no_secret_in_the_log(client, make_user, mailed_token, shown):
    """Checklist 39: ASVS 16.2.5, 14.2.1."""
    user = await make_user()
    credentials = {"email": user.email, "password": PASSWORD}
    pair = (await client.post("/users/login", json=credentials)).json()
    await client.get("/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    again = (await client.post("/users/token/refresh", json={"refresh_token": pair["refresh_token"]})).json()
    cookie = await client.post("/users/login/cookie", json=credentials, headers={"Origin": "http://test"})
    await client.post("/users/password-reset/request", json={"email": user.email})
    token = await mailed_token()
    await client.get(f"/users/password-reset/{token}")
    answer = await client.post(f"/users/password-reset/{token}", json={"password": OTHER})

    assert answer.status_code == 200
    secrets = [
        *(each[name] for each in (pair, again) for name in ("access_token", "refresh_token")),
        cookie.cookies["__Host-session"],
        PASSWORD,
        OTHER,
        token,
    ]
    assert [secret for secret in secrets if secret in shown()] == []
    assert "POST /users/password-reset/... 200" in shown()


@pytest.mark.parametrize(
    "path",
    ["/users/verify/{}", "/users/password-reset/{}", "/users/email-change/{}", "/user/verify/{}", "/{}"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
async def test_no_token_in_a_url_is_in_the_access_log(
    client, manager, make_user, shown, access, method, path
):
    """Checklist 39: ASVS 14.2.1. This applies whether or not the route exists."""
    token = manager.reset_token(await make_user())

    await client.request(method, path.format(token))

    assert token not in shown()
    assert [line.path for line in access()] == [path.format("...")]


@pytest.mark.parametrize("name", ["token", "password", "access_token"])
async def test_query_strings_are_not_logged(client, shown, access, name):
    """Checklist 39: ASVS 14.2.1."""
    await client.get(f"/users/me?{name}={PASSWORD}")

    assert PASSWORD.partition(" ")[0] not in shown()
    assert [line.path for line in access()] == ["/users/me"]


@pytest.mark.parametrize("kind", ["bearer", "cookie"])
async def test_the_access_log_names_the_user(client, make_user, visit, access, kind):
    """Checklist 39: ASVS 16.2.1."""
    user = await make_user()

    await client.get("/users/me", headers=(await visit(user, kind)).headers)

    [line] = access()
    assert (line.user, line.client, line.status) == (user.id, "203.0.113.9", 200)


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic nonsense", ""])
async def test_the_access_log_names_nobody_without_a_login(client, make_user, access, header):
    """Checklist 39: ASVS 16.2.1."""
    await make_user()

    await client.get("/users/me", headers={"Authorization": header})

    assert [(line.user, line.status) for line in access()] == [(None, 401)]


async def test_all_lines_of_a_request_share_its_id(client, manager, make_user, login, log):
    """Checklist 39: ASVS 16.2.1. The id is in each line and in the response."""
    headers = login(await make_user())
    lines = []
    handler = logging.Handler()
    handler.setFormatter(JsonFormatter())
    handler.emit = lambda record: lines.append(json.loads(handler.format(record)))
    logging.getLogger("app").addHandler(handler)

    async def hook(user):
        raise RuntimeError

    manager.on_after_logout = hook
    answer = await client.post("/users/logout", headers=headers)
    logging.getLogger("app").removeHandler(handler)

    assert answer.status_code == 500
    assert {line["logger"] for line in lines} == {"app.web", "app.access"}
    assert {line["request_id"] for line in lines} == {answer.headers["x-request-id"]}
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
async def test_a_secret_in_the_error_of_a_hook_is_redacted(client, manager, make_user, log, formatter):
    """Checklist 39: ASVS 16.2.5. This is the second line of defense: text that looks like a secret is
    redacted.
    """
    user = await make_user()
    made_up = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"  # pragma: allowlist secret

    async def hook(user):
        raise RuntimeError(f"the shop refused {made_up} with password='made up for this'")

    manager.on_after_login = hook
    await client.post("/users/login", json={"email": user.email, "password": PASSWORD})
    text = "\n".join(formatter.format(each) for each in log)

    assert "the shop refused" in text
    assert made_up not in text
    assert "made up for this" not in text
