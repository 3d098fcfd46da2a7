"""Where login is optional, an invalid login never grants more than no login.

Advisory 33; CWE-287.
"""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.users import OptionalUser

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
OWN_PAGES = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def dead_logins(make_user, begin_session, change, change_session, manager, expired_tokens, set_clock):
    """The headers of invalid logins, keyed by what is wrong with them."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    disabled = await make_user("disabled@example.com")
    set_clock(START - timedelta(days=91))
    expired = await begin_session(ada, kind="cookie")
    set_clock(START)
    alive, other = await begin_session(ada, kind="cookie"), await begin_session(eve, kind="cookie")
    bearer, revoked = await begin_session(ada), await begin_session(ada, kind="cookie")
    replaced = await begin_session(ada, kind="cookie")
    await change_session(replaced.session, secret_hash="0" * 64)
    of_disabled = await begin_session(disabled, kind="cookie")
    await change(disabled, is_active=False)
    await change_session(revoked.session, revoked_at=START)
    session_id, secret = alive.token.split(".")
    cookies = {
        "nothing": "",
        "no token": "x",
        "a dot": ".",
        "the id alone": session_id,
        "the id without the secret": f"{session_id}.",
        "the secret alone": f".{secret}",
        "the secret of another": f"{session_id}.{other.token.split('.')[1]}",
        "another letter": alive.token[:-1] + "~",
        "one letter more": alive.token + "A",
        "capitals": alive.token.upper(),
        "twice": f"{alive.token}.{secret}",
        "the hash": f"{session_id}.{alive.session.secret_hash}",
        "a refresh token": bearer.token,
        "an access token": manager.tokens.issue_access(ada.id, session_id=bearer.session.id),
        "of an expired session": expired.token,
        "of a revoked session": revoked.token,
        "one that was replaced": replaced.token,
        "of a disabled account": of_disabled.token,
        "not ASCII": "\xff.\xfe",
        "percent signs": "%00.%00",
        "a quote": f'"{session_id}',
    }
    bearers = {
        "nothing": "",
        "no token": "x",
        "dots": "..",
        "a cookie": alive.token,
        "a refresh token": bearer.token,
        "expired": expired_tokens.issue_access(ada.id, session_id=bearer.session.id),
        "of the session of a cookie": manager.tokens.issue_access(ada.id, session_id=alive.session.id),
        "of another user": manager.tokens.issue_access(eve.id, session_id=bearer.session.id),
        "a link": manager.verify_token(ada),
    }
    sent = {
        f"cookie: {what}": {"Cookie": f"__Host-session={value}".encode("latin-1")}
        for what, value in cookies.items()
    }
    sent |= {f"bearer: {what}": {"Authorization": f"Bearer {value}"} for what, value in bearers.items()}
    return {what: OWN_PAGES | headers for what, headers in sent.items()}


def seen(answer):
    """Everything that distinguishes one response from another, except the request id."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, headers, answer.content


async def test_your_own_route_treats_an_invalid_login_as_logged_out(build_app, dead_logins):
    """Advisory 33."""
    app = build_app()

    @app.get("/greeting")
    async def greeting(user: OptionalUser) -> str:
        return "nobody" if user is None else user.email

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = {what: await client.get("/greeting", headers=sent) for what, sent in dead_logins.items()}

    assert {what: each.json() for what, each in answers.items()} == dict.fromkeys(dead_logins, "nobody")


async def test_the_link_page_treats_an_invalid_login_as_logged_out(
    client, manager, stored, accounts, dead_logins
):
    """Advisory 33: the page asks for the password, which a logged-in owner does not have to enter."""
    ada = (await accounts())[0]
    path = f"/users/verify/{manager.verify_token(ada)}"

    nobody = await client.get(path)
    answers = {what: seen(await client.get(path, headers=sent)) for what, sent in dead_logins.items()}

    assert "password" in nobody.text
    assert answers == dict.fromkeys(dead_logins, seen(nobody))


async def test_an_email_change_treats_an_invalid_login_as_logged_out(
    client, manager, change, accounts, dead_logins
):
    """Advisory 33: only the account's owner may confirm it, either while logged in or with the password."""
    ada = (await accounts())[0]
    await change(ada, pending_email="new@example.com")
    path = f"/users/email-change/{manager.email_change_token(ada, 'new@example.com')}"

    nobody = await client.post(path, headers=OWN_PAGES)
    answers = {what: seen(await client.post(path, headers=sent)) for what, sent in dead_logins.items()}

    assert nobody.status_code == 400
    assert answers == dict.fromkeys(dead_logins, seen(nobody))
    assert "new@example.com" not in {each.email for each in await accounts()}


@pytest.mark.parametrize("header", ["Cookie", "Authorization"])
async def test_a_verification_treats_an_invalid_login_as_logged_out(client, mailed_token, header):
    """Advisory 33: the password stops working, because someone else may have created the account."""
    await client.post("/users/register", json=ADA)
    value = {"Cookie": "__Host-session=x", "Authorization": "Bearer x"}[header]

    answer = await client.post(f"/users/verify/{await mailed_token()}", headers=OWN_PAGES | {header: value})

    assert answer.status_code == 200
    assert (await client.post("/users/login", json=ADA)).status_code == 401


async def test_logout_ends_no_session(client, session_rows, dead_logins):
    """Advisory 33."""
    before = {each.id: each.revoked_at for each in await session_rows()}

    statuses = {
        (await client.post("/users/logout", headers=sent)).status_code for sent in dead_logins.values()
    }

    assert statuses == {204}
    assert {each.id: each.revoked_at for each in await session_rows()} == before


async def test_a_cross_site_cookie_is_refused_where_login_is_optional(client, manager, accounts, dead_logins):
    """Advisory 33: it is refused before the login itself is checked."""
    ada = (await accounts())[0]
    path = f"/users/verify/{manager.verify_token(ada)}"

    answer = await client.post(
        path, headers={"Cookie": "__Host-session=x", "Sec-Fetch-Site": "cross-site"}, json={}
    )

    assert answer.status_code == 403
