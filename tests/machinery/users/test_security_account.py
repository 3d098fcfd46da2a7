"""Limits of a stolen session, and what a new password or address invalidates. Checklist 6, 21, 22, 24, 25."""

from datetime import UTC, datetime, timedelta

import pytest

PASSWORD = "correct horse battery"
NEW = "a brand new password"
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def alive(client):
    """`await alive(here, there)`: whether each of these sessions still works."""

    async def read(*visits):
        return [(await client.get("/users/me", headers=each.headers)).status_code == 200 for each in visits]

    return read


@pytest.fixture
def links(manager, email_link):
    """`await links(user)`: every link e-mailed to this account and the body to send with it. Each link
    appears twice, because its token may also be sent in a body.
    """

    async def make(user):
        in_the_path = [
            (f"/users/verify/{manager.verify_token(user)}", {}),
            (f"/users/password-reset/{manager.reset_token(user)}", {"password": "yet another password"}),
            (await email_link(user), {"password": NEW}),
        ]
        parts = [(path.rpartition("/"), body) for path, body in in_the_path]
        return in_the_path + [(path, body | {"token": token}) for (path, _, token), body in parts]

    return make


# 6: the current password


@pytest.mark.parametrize("current", [None, "", "wrong", NEW])
@KINDS
async def test_a_recent_login_does_not_replace_the_current_password(
    client, make_user, visit, stored, kind, current
):
    """Checklist 6; ASVS 6.2.3."""
    user = await make_user()
    here = await visit(user, kind)
    body = {"password": PASSWORD}
    confirmed = await client.post("/users/me/confirm", json=body, headers=(await visit(user, kind)).headers)

    answer = await client.post(
        "/users/me/password", json={"current_password": current, "new_password": NEW}, headers=here.headers
    )

    assert (confirmed.status_code, answer.status_code) == (204, 400)
    assert (await stored(user)).hashed_password == user.hashed_password


async def test_the_current_password_cannot_be_omitted(client, make_user, visit, stored):
    """Checklist 6; ASVS 6.2.3."""
    user = await make_user()

    answer = await client.post(
        "/users/me/password", json={"new_password": NEW}, headers=(await visit(user)).headers
    )

    assert answer.status_code == 400
    assert (await stored(user)).hashed_password == user.hashed_password


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
async def test_there_is_no_other_way_to_set_a_password(client, make_user, visit, stored, method):
    """Checklist 6."""
    user = await make_user(is_superuser=True)
    headers = (await visit(user)).headers
    body = {"password": NEW, "new_password": NEW, "hashed_password": NEW, "is_verified": True}

    await client.request(method, "/users/me", json=body, headers=headers)
    await client.request(method, f"/users/{user.id}", json=body, headers=headers)

    assert (await stored(user)).hashed_password == user.hashed_password


# 21: what a new password invalidates


@KINDS
async def test_a_password_change_ends_every_session_and_renews_this_one(
    client, make_user, visit, alive, kind
):
    """Checklist 21; ASVS 7.4.3."""
    user = await make_user()
    here, there, elsewhere = await visit(user, kind), await visit(user), await visit(user, "cookie")
    body = {"current_password": PASSWORD, "new_password": NEW}

    answer = await client.post("/users/me/password", json=body, headers=here.headers)

    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    bearer = f"Bearer {answer.json().get('access_token')}"
    given = {"bearer": {"Authorization": bearer}, "cookie": {"Cookie": cookie}}[kind]
    assert await alive(here, there, elsewhere) == [False, False, False]
    assert (await client.get("/users/me", headers=given)).status_code == 200


async def test_a_password_change_invalidates_every_mailed_link(client, make_user, visit, links, stored):
    """Checklist 21."""
    user = await make_user()
    mailed = await links(user)
    body = {"current_password": PASSWORD, "new_password": NEW}
    await client.post("/users/me/password", json=body, headers=(await visit(user)).headers)

    answers = [await client.post(path, json=json) for path, json in mailed]

    now = await stored(user)
    assert [answer.status_code for answer in answers] == [400] * 6
    assert (now.email, now.is_verified, now.password_version) == ("ada@example.com", False, 1)


async def test_a_reset_ends_every_session_and_every_mailed_link(
    client, manager, make_user, visit, links, alive, stored
):
    """Checklist 21; ASVS 7.4.3."""
    user = await make_user()
    here, there = await visit(user), await visit(user, "cookie")
    mailed = await links(user)
    await client.post(f"/users/password-reset/{manager.reset_token(user)}", json={"password": NEW})

    answers = [await client.post(path, json=json) for path, json in mailed]

    assert await alive(here, there) == [False, False]
    assert [answer.status_code for answer in answers] == [400] * 6
    assert (await stored(user)).password_version == 1


# 22: owners list and end their sessions


@KINDS
async def test_owners_list_their_sessions_and_end_one(client, make_user, visit, alive, kind):
    """Checklist 22; ASVS 7.5.2."""
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)

    shown = (await client.get("/users/me/sessions", headers=here.headers)).json()
    lost = next(each["id"] for each in shown if not each["is_current"])
    answer = await client.delete(f"/users/me/sessions/{lost}", headers=here.headers)

    assert {"ip_address", "browser", "created_at", "last_seen_at", "is_current"} <= set(shown[0])
    assert answer.status_code == 204
    assert await alive(here, there) == [True, False]


@KINDS
async def test_nobody_can_end_another_users_session(client, make_user, visit, alive, kind):
    """Checklist 22."""
    here = await visit(await make_user(), kind)
    theirs = await visit(await make_user("eve@example.com"), kind)

    one = await client.delete(f"/users/me/sessions/{theirs.issued.session.id}", headers=here.headers)
    all_ = await client.delete("/users/me/sessions", headers=here.headers)

    assert (one.status_code, all_.status_code) == (404, 204)
    assert await alive(here, theirs) == [True, True]


# 24: routes that require a recent login

ROUTES = pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users/me/email", {"new_email": "new@example.com"}),
        ("GET", "/users/me/export", None),
        ("DELETE", "/users/me", None),
        ("DELETE", "/users/me/sessions", None),
        ("DELETE", "/users/me/sessions/{session}", None),
    ],
)


@ROUTES
@KINDS
async def test_an_old_login_must_enter_the_password_first(
    client, make_user, visit, set_clock, events, outbox, kind, method, path, body
):
    """Checklist 22 and 24; ASVS 7.5.1. The challenge follows RFC 9470."""
    set_clock(NOON)
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)
    set_clock(NOON + timedelta(minutes=10))

    answer = await client.request(
        method, path.format(session=there.issued.session.id), json=body, headers=here.headers
    )

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", max_age="600"'
    )
    assert (await events(), await outbox()) == ([], [])


@ROUTES
async def test_a_login_is_recent_until_the_limit(client, make_user, visit, set_clock, method, path, body):
    """Checklist 24."""
    set_clock(NOON)
    user = await make_user()
    here, there = await visit(user), await visit(user)
    set_clock(NOON + timedelta(minutes=10) - INSTANT)

    answer = await client.request(
        method, path.format(session=there.issued.session.id), json=body, headers=here.headers
    )

    assert answer.is_success


@ROUTES
async def test_entering_the_password_makes_the_login_recent(
    client, make_user, visit, set_clock, method, path, body
):
    """Checklist 24."""
    set_clock(NOON)
    user = await make_user()
    here = await visit(user)
    set_clock(NOON + timedelta(hours=1))
    there = await visit(user)
    await client.post("/users/me/confirm", json={"password": PASSWORD}, headers=here.headers)

    answer = await client.request(
        method, path.format(session=there.issued.session.id), json=body, headers=here.headers
    )

    assert answer.is_success


@ROUTES
async def test_refreshing_does_not_make_the_login_recent(
    client, make_user, visit, set_clock, method, path, body
):
    """Checklist 18 and 24: a refresh token does not prove knowledge of the password."""
    set_clock(NOON)
    user = await make_user()
    here, there = await visit(user), await visit(user)
    set_clock(NOON + timedelta(minutes=10))
    tokens = await client.post("/users/token/refresh", json={"refresh_token": here.issued.token})

    headers = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    answer = await client.request(
        method, path.format(session=there.issued.session.id), json=body, headers=headers
    )

    assert answer.status_code == 403


FORGED = [
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
]
RETURNS = ["next", "return_to", "return_url", "redirect", "redirect_uri", "redirect_url", "continue", "url"]


@pytest.mark.parametrize("target", FORGED)
async def test_no_response_redirects_to_a_url_from_the_request(app, client, make_user, visit, target):
    """Checklist 24; ASVS 3.7.2: there are no return URLs to check."""
    cookie = (await visit(await make_user(is_superuser=True), "cookie")).headers
    operations = [(method, path) for path, item in app.openapi()["paths"].items() for method in item]
    names = dict.fromkeys(RETURNS, target)
    answers = []

    for method, path in operations:
        answers.append(await client.request(method, path, params=names, json=names, headers=cookie))
        answers.append(await client.request(method, path, params=names, json=names))

    assert len(answers) > 50
    assert [answer for answer in answers if answer.is_redirect or "location" in answer.headers] == []


@pytest.mark.parametrize(
    "path", ["//evil.example", "//evil.example/..", "/%2f%2fevil.example/", "/users/me/"]
)
async def test_no_url_is_corrected_by_a_redirect(client, path):
    """Checklist 24: removing a slash, or keeping two, can turn a path into another host."""
    answer = await client.get(f"http://test{path}")

    assert not answer.is_redirect
    assert "location" not in answer.headers


async def test_no_parameter_is_a_return_url(app):
    """Checklist 24."""
    operations = [each for item in app.openapi()["paths"].values() for each in item.values()]
    names = {parameter["name"] for each in operations for parameter in each.get("parameters", [])}

    assert "cursor" in names
    assert names & set(RETURNS) == set()


# 25: the address


@pytest.mark.parametrize("place", ["in the path", "in the body"])
async def test_an_email_change_requires_the_link_and_the_owner(
    client, make_user, visit, outbox, email_link, stored, set_clock, place
):
    """Checklist 25; ASVS 6.3.7."""
    set_clock(NOON)
    user = await make_user()
    here, eve = await visit(user), await visit(await make_user("eve@example.com"))
    client.headers["User-Agent"] = FIREFOX
    await client.post("/users/me/email", json={"new_email": "new@example.com"}, headers=here.headers)
    before = await stored(user)
    path, _, token = (await email_link(user)).rpartition("/")
    sends = {"in the path": (f"{path}/{token}", None), "in the body": (path, {"token": token})}
    address, body = sends[place]

    stranger = await client.post(address, json=body, headers=eve.headers)
    nobody = await client.post(address, json=body)
    owner = await client.post(address, json=body, headers=here.headers)

    notices = [mail.text_body for mail in await outbox() if mail.all_recipients() == ["ada@example.com"]]
    said = [("2030-05-01 12:00 UTC" in text, "203.0.113.9, Firefox on Windows" in text) for text in notices]
    assert before.email == "ada@example.com"
    assert (stranger.status_code, nobody.status_code, owner.status_code) == (400, 400, 200)
    assert said == [(True, True), (True, True)]


async def test_a_concurrently_taken_address_is_refused(client, make_user, visit, email_link, stored):
    """Checklist 25: the response is not a 500."""
    user = await make_user()
    link = await email_link(user)
    await make_user("new@example.com")

    answer = await client.post(link, headers=(await visit(user)).headers)

    assert answer.status_code == 400
    assert (await stored(user)).email == "ada@example.com"
