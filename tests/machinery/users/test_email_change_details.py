"""Changing the e-mail address in detail: races, dead links and the page."""

import re
from datetime import UTC, datetime

import pytest

OLD, NEW = "ada@example.com", "new@example.com"

PASSWORD = {"password": "correct horse battery"}

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def ask(client):
    """`await ask(visit)`: what a front end sends to request a new address, optionally with another body."""

    async def send(visit, new_email=NEW, **headers):
        return await client.post(
            "/users/me/email", json={"new_email": new_email}, headers=visit.headers | headers
        )

    return send


@pytest.fixture
def pending(manager, change):
    """`await pending(user)`: the path of the link e-mailed to the new address."""

    async def make(user, new_email=NEW):
        await change(user, pending_email=new_email)
        return f"/users/email-change/{manager.email_change_token(user, new_email)}"

    return make


@pytest.fixture
def address(stored):
    """`await address(user)`: the account's current address."""

    async def read(user):
        return (await stored(user)).email

    return read


# Requesting a change


async def test_the_link_points_to_the_configured_front_end(other_client, make_user, visit, outbox):
    here = await visit(await make_user())
    client = await other_client(
        email_change_url="https://shop.example.org/#/email?code={token}", email_change_ttl=2700
    )

    await client.post("/users/me/email", json={"new_email": NEW}, headers=here.headers)

    link = (await outbox())[0]
    assert "https://shop.example.org/#/email?code=mt_" in link.text_body
    assert 'href="https://shop.example.org/#/email?code=mt_' in link.html_body
    assert "expires in 45 minutes" in link.text_body


@pytest.mark.parametrize("new_email", ["x", OLD])
async def test_the_response_names_the_field(make_user, visit, ask, new_email):
    answer = await ask(await visit(await make_user()), new_email)

    assert [error["field"] for error in answer.json()["errors"]] == ["new_email"]


@pytest.mark.parametrize(
    "body", [{}, [], None, {"new_email": None}, {"new_email": 7}, {"email": NEW}], ids=str
)
async def test_a_malformed_body_is_refused(client, make_user, visit, body):
    here = await visit(await make_user())

    answer = await client.post("/users/me/email", json=body, headers=here.headers)

    assert answer.status_code == 400


# A taken address


async def test_a_taken_address_does_the_same_work(make_user, visit, ask, rendered, outbox_rows, statements):
    """Checklist 13; CWE-208."""
    await make_user("eve@example.com")
    here = await visit(await make_user())
    statements.clear()
    await ask(here, "eve@example.com")
    taken = list(statements), len(rendered), await outbox_rows()
    rendered.clear()
    statements.clear()

    await ask(here, NEW)

    assert (list(statements), len(rendered)) == taken[:2]
    assert await outbox_rows() == 2 * taken[2]


async def test_only_one_of_two_accounts_gets_a_contested_address(
    client, make_user, pending, at_once, accounts
):
    """Checklist 25."""
    links = iter([await pending(await make_user(email)) for email in (OLD, "eve@example.com")])

    statuses = await at_once(2, lambda: client.post(next(links), json=PASSWORD))

    assert statuses == [200, 400]
    assert [user.email == NEW for user in await accounts()].count(True) == 1


async def test_only_one_of_a_registration_and_a_change_gets_the_address(
    client, make_user, pending, at_once, accounts
):
    link = await pending(await make_user())
    requests = iter(
        [
            client.post(link, json=PASSWORD),
            client.post("/users/register", json=PASSWORD | {"email": NEW}),
        ]
    )

    statuses = await at_once(2, lambda: next(requests))

    assert statuses in ([200, 409], [201, 400])
    assert [user.email == NEW for user in await accounts()].count(True) == 1


# Using the link


async def test_the_password_is_accepted_despite_another_users_login(
    client, make_user, visit, pending, address
):
    """Two users share a browser."""
    user, eve = await make_user(), await visit(await make_user("eve@example.com"), "cookie")

    answer = await client.post(await pending(user), json=PASSWORD, headers=eve.headers)

    assert answer.status_code == 200
    assert await address(user) == NEW


# Refused uses


async def test_an_ended_session_is_not_enough(client, make_user, visit, pending, address):
    user = await make_user()
    here = await visit(user)
    link = await pending(user)
    await client.post("/users/logout", headers=here.headers)

    answer = await client.post(link, headers=here.headers)

    assert answer.status_code == 400
    assert await address(user) == OLD


@pytest.mark.parametrize("password", ["wrong", "", "<script>alert(1)</script>"])
async def test_a_wrong_password_shows_the_form_again(client, make_user, pending, password):
    link = await pending(await make_user())

    refused = await client.post(link, data={"password": password})
    answer = await client.post(link, data=PASSWORD)

    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    assert '<input id="password"' in refused.text
    assert "<script" not in refused.text
    assert answer.status_code == 200


# Invalid links


@pytest.mark.parametrize("newer", ["newer@example.com", "eve@example.com"], ids=["free", "taken"])
async def test_a_newer_request_invalidates_an_older_link(
    client, make_user, visit, ask, pending, address, newer
):
    await make_user("eve@example.com")
    user = await make_user()
    here = await visit(user)
    link = await pending(user)
    await ask(here, newer)

    answer = await client.post(link, headers=here.headers)

    assert answer.status_code == 400
    assert await address(user) == OLD


async def test_only_one_of_two_links_to_one_address_works(client, make_user, visit, ask, pending):
    user = await make_user()
    here = await visit(user)
    older = await pending(user)
    await ask(here)
    newer = await pending(user)

    answers = [await client.post(link, headers=here.headers) for link in (older, newer)]

    assert [answer.status_code for answer in answers] == [200, 400]


async def test_a_request_for_a_concurrently_disabled_account_mails_nothing(
    make_user, visit, ask, manager, change, outbox, stored, monkeypatch
):
    user = await make_user()
    here = await visit(user)
    look_up = manager.get_by_email

    async def disable_and_look_up(session, email):
        found = await look_up(session, email)
        await session.commit()
        await change(user, is_active=False)
        return found

    monkeypatch.setattr(manager, "get_by_email", disable_and_look_up)

    answer = await ask(here)

    assert answer.status_code == 401
    assert (await stored(user)).pending_email is None
    assert await outbox() == []


@pytest.mark.parametrize(
    "columns", [{"is_active": False}, {"pending_email": None}, {"delete_after": NOON}], ids=str
)
async def test_a_change_of_the_account_invalidates_the_link(
    client, make_user, pending, change, address, set_clock, columns
):
    user = await make_user()
    link = await pending(user)
    await change(user, **columns)
    set_clock(NOON)

    assert (await client.post(link, json=PASSWORD)).status_code == 400
    assert await address(user) == OLD


async def test_the_link_of_a_deleted_account_stops_working(client, manager, db, make_user, pending):
    user = await make_user()
    link = await pending(user)
    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, user.id))

    assert (await client.post(link, json=PASSWORD)).status_code == 400


@pytest.mark.parametrize(
    "columns",
    [{"is_active": False}, {"pending_email": "newer@example.com"}, {"password_version": 1}],
    ids=str,
)
async def test_a_concurrent_change_stops_the_email_change(
    client, make_user, pending, meanwhile, change, address, columns
):
    user = await make_user()
    link = await pending(user)
    meanwhile(lambda: change(user, **columns))

    assert (await client.post(link, json=PASSWORD)).status_code == 400
    assert await address(user) == OLD


async def test_the_token_of_an_email_change_has_no_other_use(client, make_user, pending, stored):
    """Checklist 27."""
    user = await make_user()
    token = (await pending(user)).rpartition("/")[2]

    answers = [
        await client.post(f"/users/verify/{token}"),
        await client.post(f"/users/password-reset/{token}", json={"password": "a brand new password"}),
        await client.get("/users/me", headers={"Authorization": f"Bearer {token}"}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 401]
    assert (await stored(user)).password_version == 0


@pytest.mark.parametrize("token", ["x", "a.b.c", "e" * 5000, "%00", "%FF"])
async def test_an_invalid_token_is_refused_without_hashing(client, hash_calls, token):
    answer = await client.post(f"/users/email-change/{token}", json=PASSWORD)

    assert answer.status_code == 400
    assert hash_calls == []


# The page of the link


async def test_the_page_has_no_script_and_leaks_nothing(client, make_user, pending):
    """Checklist 30; ASVS 3.4.3, 3.4.5, 14.3.2."""
    link = await pending(await make_user())

    pages = [
        await client.get(link),
        await client.post(link, data={"password": "wrong"}),
        await client.post(link, data=PASSWORD),
        await client.get("/users/email-change/x"),
    ]

    policies = [page.headers["content-security-policy"] for page in pages]
    assert {page.headers["cache-control"] for page in pages} == {"no-store"}
    assert {page.headers["referrer-policy"] for page in pages} == {"no-referrer"}
    # With `app/pages`, the layout may load the scripts of this site.
    rules = [policy.replace("script-src 'self';", "") for policy in policies]
    assert all("default-src 'none'" in rule and "script-src" not in rule for rule in rules)
    assert not any(re.search(r"<script|javascript:|\son\w+=|src=|https?://", page.text) for page in pages)
    assert not any("ey" + "J" in page.text or PASSWORD["password"] in page.text for page in pages)
