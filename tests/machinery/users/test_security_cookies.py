"""The cookie under attack: read by scripts, sent by other sites, set by other hosts."""

import re
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
UNSAFE = {"post", "put", "patch", "delete"}
SAME_ORIGIN = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://test"},
    {"Origin": "http://test", "Sec-Fetch-Site": "same-origin"},
]
FOREIGN = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://test"},
    {"Origin": "http://evil.test"},
    {"Origin": "https://test"},
    {"Origin": "http://test:8000"},
    {"Origin": "http://test.evil.test"},
    {"Origin": "http://sub.test"},
    {"Origin": "http://test/"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://test, http://evil.test"},
    {"Referer": "http://test/page"},
    {"Host": "evil.test", "Origin": "http://evil.test"},
    {"X-Forwarded-Host": "evil.test", "Origin": "http://evil.test"},
]


SOME_FOREIGN = [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}]
"""One case of each kind, to test that the check exists. The login tests cover what it checks."""


@pytest.fixture
def unsafe_operations(app):
    """Every method and path of the application that changes something and accepts a cookie."""
    return [
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if method in UNSAFE and any("session" in each for each in operation.get("security", []))
    ]


@pytest.fixture
def statuses_of(client, make_user, begin_session, headers_of, unsafe_operations):
    """`await statuses_of(extra)`: the status of every such operation, sent with a superuser's cookie. Each
    request uses a new, recently logged-in superuser, so nothing else rejects it.
    """
    numbers = count()

    async def send(extra):
        statuses = {}
        for method, path in unsafe_operations:
            user = await make_user(f"root{next(numbers)}@example.com", is_superuser=True, is_verified=True)
            cookie = headers_of(await begin_session(user, kind="cookie"))["Cookie"]
            url = re.sub(r"\{\w+\}", "1", path)
            answer = await client.request(method, url, json={}, headers={"Cookie": cookie} | extra)
            statuses[method, path] = answer.status_code
        return statuses

    return send


@pytest.fixture
def raw_statuses(app):
    """`await raw_statuses("/", b"cookie", values)`: the status of a GET with each value, byte for byte."""

    async def ask(path, name, values):
        statuses = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def keep(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        for value in values:
            scope = {
                "type": "http",
                "http_version": "1.1",
                "method": "GET",
                "path": path,
                "query_string": b"",
                "headers": [(b"host", b"test"), (name, value)],
                "client": ("203.0.113.9", 50000),
                "scheme": "http",
            }
            await app(scope, receive, keep)
        return statuses

    return ask


# 34: attributes


async def test_the_cookie_is_protected_from_scripts_sites_hosts_and_plain_http(
    session_cookie, client, make_user, set_clock
):
    """Checklist 34; ASVS 3.3.1 to 3.3.4."""
    set_clock(START)
    await make_user("ada@example.com")

    answer = await client.post("/users/login/cookie", json=ADA, headers=SAME_ORIGIN[0])

    cookie = session_cookie(answer)
    pair, *attributes = cookie.split("; ")
    assert pair.partition("=")[0] == "__Host-session"
    assert set(attributes) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", f"Max-Age={90 * 24 * 3600}"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/me/confirm", {"password": ADA["password"]}),
        ("/users/me/password", {"current_password": ADA["password"], "new_password": "a brand new password"}),
        ("/users/logout", None),
    ],
)
async def test_every_response_sets_the_cookie_with_these_attributes(
    session_cookie, client, make_user, begin_session, headers_of, path, body
):
    """Checklist 34."""
    headers = headers_of(await begin_session(await make_user(), kind="cookie"))

    answer = await client.post(path, json=body, headers=headers)

    cookie = session_cookie(answer)
    pair, *attributes = cookie.split("; ")
    assert pair.partition("=")[0] == "__Host-session"
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} < set(attributes)
    assert "domain" not in cookie.lower()


async def test_the_device_cookie_has_the_same_attributes(client, make_user):
    """Checklist 34: the cookie does not grant a login, but a stranger who has it could guess passwords as
    the owner can.
    """
    await make_user("ada@example.com")

    answer = await client.post("/users/login/cookie", json=ADA, headers=SAME_ORIGIN[0])

    [cookie] = [each for each in answer.headers.get_list("set-cookie") if "device=" in each]
    pair, *attributes = cookie.split("; ")
    assert pair.partition("=")[0] == "__Host-device"
    assert set(attributes) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", f"Max-Age={400 * 24 * 3600}"}


async def test_plain_http_requires_a_setting_and_uses_another_name(session_cookie, other_client, make_user):
    """Checklist 34. Browsers reject a `__Host-` cookie without Secure."""
    await make_user("ada@example.com")
    client = await other_client(cookie_secure=False)

    answer = await client.post("/users/login/cookie", json=ADA, headers=SAME_ORIGIN[0])

    cookie = session_cookie(answer)
    assert cookie.startswith("session=")
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} < set(cookie.split("; "))
    assert "Secure" not in cookie


async def test_the_request_url_does_not_make_the_cookie_insecure(other_client, make_user):
    """Checklist 34: behind a proxy the application itself sees plain HTTP."""
    await make_user("ada@example.com")
    client = await other_client(base_url="http://127.0.0.1:8000")

    answer = await client.post("/users/login/cookie", json=ADA, headers=SAME_ORIGIN[0])

    assert "Secure" in answer.headers["set-cookie"].split("; ")


async def test_the_cookie_secret_is_in_no_body(client, make_user, begin_session, headers_of):
    """Checklist 34: otherwise HttpOnly would be useless."""
    issued = await begin_session(await make_user(), kind="cookie")

    answers = [
        await client.get(path, headers=headers_of(issued))
        for path in ("/users/me", "/users/me/sessions", "/users/me/export")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert not any(issued.token.partition(".")[2] in answer.text for answer in answers)


# 34: cookies set by another host in the domain


NO_SPACE_OF_HTTP = [b"\x85", b"\xa0", b"\x0b", b"\x0c", b"\x1f", b"\xc2\xa0"]
"""Python strips them from text. For a browser they are part of the name, which then lacks the prefix."""


@pytest.mark.parametrize("space", NO_SPACE_OF_HTTP)
async def test_a_cookie_with_a_similar_name_is_not_a_session(client, make_user, begin_session, space):
    """Checklist 34; CWE-20: otherwise any host in the domain could log the browser in."""
    token = (await begin_session(await make_user(), kind="cookie")).token.encode()

    before = await client.get("/users/me", headers={b"Cookie": space + b"__Host-session=" + token})
    after = await client.get("/users/me", headers={b"Cookie": b"__Host-session" + space + b"=" + token})

    assert (before.status_code, after.status_code) == (401, 401)


@pytest.mark.parametrize("space", NO_SPACE_OF_HTTP)
async def test_a_cookie_with_a_similar_name_replaces_no_session(client, make_user, begin_session, space):
    """Checklist 34."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    own = (await begin_session(ada, kind="cookie")).token.encode()
    hostile = (await begin_session(eve, kind="cookie")).token.encode()
    cookies = b"__Host-session=" + own + b"; " + space + b"__Host-session=" + hostile

    answer = await client.get("/users/me", headers={b"Cookie": cookies})

    assert answer.json()["email"] == "ada@example.com"


@pytest.mark.parametrize("space", NO_SPACE_OF_HTTP)
async def test_a_cookie_with_a_similar_name_makes_no_browser_known(
    client, mailed_token, browser_of_answer, space
):
    """Checklist 29 and 34: otherwise an attacker who registered the victim's address could keep a
    password."""
    attacker = await client.post("/users/register", json=ADA)
    cookie = space + browser_of_answer(attacker)["Cookie"].encode()

    verified = await client.post(f"/users/verify/{await mailed_token()}", headers={b"Cookie": cookie})

    assert verified.status_code == 200
    assert (await client.post("/users/login", json=ADA)).status_code == 401


@pytest.mark.parametrize("separator", ["; ", ";", " ;\t"])
async def test_the_first_of_two_cookies_with_the_same_name_wins(client, make_user, begin_session, separator):
    """Checklist 34: browsers send the cookie with the longer path first, then the older (RFC 6265, 5.4)."""
    token = (await begin_session(await make_user(), kind="cookie")).token
    pairs = [f"__Host-session={token}", "__Host-session=x"]

    first = await client.get("/users/me", headers={"Cookie": separator.join(pairs)})
    second = await client.get("/users/me", headers={"Cookie": separator.join(reversed(pairs))})

    assert (first.status_code, second.status_code) == (200, 401)


async def test_cookies_in_several_headers_are_read(client, make_user, begin_session):
    """RFC 9113, section 8.2.3: HTTP/2 clients send them like this."""
    token = (await begin_session(await make_user(), kind="cookie")).token
    fields = [("Cookie", "theme=dark"), ("Cookie", f"__Host-session={token}"), ("Cookie", "language=en")]

    assert (await client.get("/users/me", headers=fields)).status_code == 200


NAMES = [b"", b"__Host-session", b" __Host-session", b"__HOST-SESSION", b"__Host-device", b"__Host-session;"]
SIGNS = [b"", b"=", b"==", b"=;", b"=\xa0", b";="]
VALUES = [
    b"",
    b"x",
    b".",
    b"..",
    b"...." * 500,
    b'"',
    b'""',
    b'"x',
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"%00",
    b"1.2",
    b"\xc3\xa9." + b"\xc3\xa9" * 40,
    b"00000000-0000-0000-0000-000000000000." + b"A" * 43,
    b"00000000-0000-0000-0000-000000000000\x00." + b"A" * 43,
]
ODD_COOKIES = [name + sign + value for name in NAMES for sign in SIGNS for value in VALUES]
SCHEMES = [b"", b"Bearer", b"bearer ", b"Bearer\t", b"Basic ", b"\xff ", b"Bearer Bearer "]
ODD_AUTHORIZATIONS = [scheme + value for scheme in SCHEMES for value in VALUES]


async def test_no_odd_header_causes_a_server_error(raw_statuses, manager, make_user):
    """Advisory 30. The page of a link also reads the device cookie."""
    page = f"/users/verify/{manager.verify_token(await make_user())}"

    seen = {
        (path, name): set(await raw_statuses(path, name, values))
        for path in ("/users/me", page)
        for name, values in ((b"cookie", ODD_COOKIES), (b"authorization", ODD_AUTHORIZATIONS))
    }

    assert (len(ODD_COOKIES), len(ODD_AUTHORIZATIONS)) == (576, 112)
    assert list(seen.values()) == [{401}, {401}, {200}, {200}], seen


# 35: cross-site requests


async def test_there_are_routes_to_protect(unsafe_operations):
    """Checklist 35: otherwise the tests below could pass with an empty list."""
    assert {
        ("POST", "/users/logout"),
        ("POST", "/users/me/confirm"),
        ("POST", "/users/me/password"),
        ("POST", "/users/me/email"),
        ("POST", "/users/verify"),
        ("POST", "/users/verify/{token}"),
        ("POST", "/users/email-change"),
        ("POST", "/users/email-change/{token}"),
        ("DELETE", "/users/me"),
        ("DELETE", "/users/me/sessions"),
        ("DELETE", "/users/me/sessions/{session_id}"),
    } <= set(unsafe_operations)
    assert {
        ("PATCH", "/users/{user_id}"),
        ("POST", "/users/invitations"),
        ("DELETE", "/users/invitations/{invitation_id}"),
    } <= set(unsafe_operations)


@pytest.mark.parametrize("headers", SOME_FOREIGN, ids=str)
async def test_no_unsafe_route_accepts_a_cookie_from_another_site(
    statuses_of, headers, accounts, session_rows
):
    """Checklist 35; ASVS 3.5.1."""
    statuses = await statuses_of(headers)

    assert set(statuses.values()) == {403}, statuses
    assert len(await accounts()) == len(statuses)
    assert all(row.revoked_at is None for row in await session_rows())


@pytest.mark.parametrize("headers", SAME_ORIGIN, ids=str)
async def test_every_unsafe_route_accepts_a_cookie_from_its_own_pages(statuses_of, headers):
    """Checklist 35: the rejections above are due only to the origin."""
    statuses = await statuses_of(headers)

    assert not {401, 403} & set(statuses.values()), statuses


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_another_site_cannot_log_a_browser_in(client, make_user, session_rows, headers):
    """Checklist 35: login CSRF; the browser may not have a cookie yet."""
    await make_user("ada@example.com")

    answer = await client.post("/users/login/cookie", json=ADA, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert await session_rows() == []


@pytest.mark.parametrize("headers", SAME_ORIGIN, ids=str)
async def test_the_applications_own_pages_can_log_a_browser_in(client, make_user, headers):
    """Checklist 35."""
    await make_user("ada@example.com")

    assert (await client.post("/users/login/cookie", json=ADA, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_no_form_of_another_site_is_read_as_json(client, make_user, content_type):
    """Checklist 35: these content types require no CORS preflight."""
    await make_user("ada@example.com")
    body = b'{"email":"ada@example.com","password":"correct horse battery","x":"="}'

    answer = await client.post(
        "/users/login/cookie",
        content=body,
        headers={"Content-Type": content_type, "Origin": "http://evil.test"},
    )

    assert answer.status_code == 403


@pytest.mark.parametrize("headers", SOME_FOREIGN, ids=str)
async def test_safe_methods_need_no_origin(client, make_user, begin_session, headers_of, headers):
    """Checklist 35: a link from another site opens the page of a logged-in user."""
    cookie = headers_of(await begin_session(await make_user(), kind="cookie"))["Cookie"]

    answer = await client.get("/users/me", headers={"Cookie": cookie} | headers)

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", SOME_FOREIGN, ids=str)
async def test_a_bearer_token_needs_no_origin(client, make_user, begin_session, headers_of, headers):
    """Checklist 35: browsers do not send a bearer token automatically."""
    issued = await begin_session(await make_user())

    answer = await client.post("/users/logout", headers=headers_of(issued) | headers)

    assert answer.status_code == 204
    assert (await client.get("/users/me", headers=headers_of(issued))).status_code == 401


@pytest.mark.parametrize("authorization", ["", "x", "Bearer", "Bearer x", "Basic eDp5", "Cookie"])
async def test_an_invalid_authorization_header_does_not_exempt_the_cookie(
    client, make_user, begin_session, headers_of, authorization
):
    """Checklist 35: only a valid bearer token exempts a request, not the header alone."""
    issued = await begin_session(await make_user(), kind="cookie")
    cookie = headers_of(issued)["Cookie"]

    answer = await client.delete("/users/me", headers={"Cookie": cookie, "Authorization": authorization})

    assert answer.status_code in (401, 403)
    assert (await client.get("/users/me", headers={"Cookie": cookie})).status_code == 200


async def test_the_bearer_token_wins_if_both_are_sent(client, make_user, begin_session, headers_of):
    """Checklist 35: another site's page that sends its own token cannot use the victim's cookie."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    cookie, bearer = await begin_session(ada, kind="cookie"), await begin_session(eve)
    headers = {"Cookie": headers_of(cookie)["Cookie"], "Sec-Fetch-Site": "cross-site"} | headers_of(bearer)

    await client.delete("/users/me", headers=headers)

    assert (await client.get("/users/me", headers=headers_of(cookie))).status_code == 200
    assert (await client.get("/users/me", headers=headers_of(bearer))).status_code == 401


async def test_a_refresh_ignores_cookies(client, make_user, begin_session):
    """Checklist 35: its token is in the body, where browsers do not put it automatically."""
    issued = await begin_session(await make_user())

    answer = await client.post(
        "/users/token/refresh",
        json={"refresh_token": issued.token},
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.test"},
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://Example.com/app", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
async def test_the_origin_comes_from_the_configured_url(other_client, make_user, base_url, origin):
    """Checklist 35. Browsers omit the default port and write host names in lower case (RFC 6454)."""
    await make_user("ada@example.com")
    client = await other_client(base_url=base_url)

    answer = await client.post("/users/login/cookie", json=ADA, headers={"Origin": origin})

    assert answer.status_code == 200


@pytest.mark.parametrize("extra", [{}, {"Sec-Fetch-Site": "cross-site"}], ids=str)
async def test_another_site_is_refused_before_the_recent_login_check(
    client, make_user, begin_session, headers_of, set_clock, extra
):
    """Checklist 35: the response reveals nothing about the session."""
    set_clock(START)
    cookie = headers_of(await begin_session(await make_user(), kind="cookie"))["Cookie"]

    set_clock(START + timedelta(hours=1))
    answers = [
        await client.delete("/users/me", headers={"Cookie": value} | extra)
        for value in (cookie, "__Host-session=x")
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()
