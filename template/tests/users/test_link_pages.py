"""The pages behind e-mailed links: opening a page changes nothing, and its button works only once."""

import re

import pytest

OWN = {"password": "correct horse battery"}

NEW = {"password": "a brand new password"}

BUTTON = {"Content-Type": "application/x-www-form-urlencoded"}
"""What a browser sends with a form that has no fields."""


@pytest.fixture
def links(manager, make_user):
    """`await links()` creates an account and returns it with the paths of its two e-mailed links."""

    async def make():
        user = await make_user("ada@example.com")
        return (
            user,
            f"/users/verify/{manager.verify_token(user)}",
            f"/users/password-reset/{manager.reset_token(user)}",
        )

    return make


async def test_the_button_verifies_once_and_returns_a_page(client, links, stored):
    user, verify, _ = await links()

    answers = [await client.post(verify, headers=BUTTON) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert [answer.headers["content-type"] for answer in answers] == ["text/html; charset=utf-8"] * 2
    assert "ada@example.com" in answers[0].text
    assert (await stored(user)).is_verified


async def test_the_form_sets_the_password_once_and_returns_a_page(client, links):
    _, _, reset = await links()

    answers = [await client.post(reset, data=NEW) for _ in range(2)]

    login = await client.post("/users/login", json=NEW | {"email": "ada@example.com"})
    assert [answer.status_code for answer in answers] == [200, 400]
    assert [answer.headers["content-type"] for answer in answers] == ["text/html; charset=utf-8"] * 2
    assert login.status_code == 200


async def test_a_form_keeps_every_character_of_the_password(client, links):
    _, _, reset = await links()
    password = {"password": " 100% päss+wörd & more=x "}

    await client.post(reset, data=password)

    login = await client.post("/users/login", json=password | {"email": "ada@example.com"})
    assert login.status_code == 200


async def test_json_requests_get_json_responses(client, links):
    _, verify, reset = await links()

    answers = [await client.post(verify, json=OWN), await client.post(reset, json=NEW)]

    assert [answer.headers["content-type"] for answer in answers] == ["application/json"] * 2
    assert [answer.json()["email"] for answer in answers] == ["ada@example.com"] * 2


async def test_a_wrong_password_shows_the_form_and_its_explanation_again(client, links):
    """The page still explains that a user who does not know the password may leave the field empty."""
    _, verify, _ = await links()

    refused = await client.post(verify, data={"password": "something else"})
    answer = await client.post(verify, data=OWN)

    assert (refused.status_code, answer.status_code) == (400, 200)
    assert 'role="alert"' in refused.text
    assert "If you leave this empty" in refused.text
    assert "something else" not in refused.text


async def test_a_refused_password_shows_the_form_again_and_keeps_the_link_valid(client, links):
    """Checklist 28."""
    _, _, reset = await links()

    refused = await client.post(reset, data={"password": "short"})
    answer = await client.post(reset, data=NEW)

    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    assert "at least 12 characters" in refused.text
    assert '<input id="password"' in refused.text
    assert "short" not in re.sub("too short", "", refused.text)
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"", b"password=%FF", b"password=%00", b"other=x", b"\xff", b"&" * 5000])
async def test_a_malformed_form_is_refused(client, links, body):
    _, _, reset = await links()

    answer = await client.post(reset, content=body, headers=BUTTON)

    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/users/verify/x", "/users/password-reset/x"])
async def test_a_dead_link_shows_an_explanation(client, path):
    answer = await client.get(path)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "no longer works" in answer.text


@pytest.mark.parametrize("kind", ["verify", "password-reset"])
async def test_a_dead_link_offers_a_new_one(client, make_user, outbox, kind):
    await make_user("ada@example.com")
    page = await client.get(f"/users/{kind}/x")
    form = re.search(r'<form method="post" action="([^"]+)">', page.text)

    addresses = ["ada@example.com", "b@example.com"]
    answers = [await client.post(form[1], data={"email": email}) for email in addresses]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].text.replace("ada@", "b@") == answers[1].text
    assert [mail.to for mail in await outbox()] == [["ada@example.com"]]


async def test_an_expired_link_shows_an_explanation(client, make_user, expired_tokens):
    user = await make_user()
    verify = expired_tokens.issue_verify(user.id, password_version=0, email=user.email)
    reset = expired_tokens.issue_reset(user.id, password_version=0, email=user.email)

    answers = [
        await client.get(f"/users/verify/{verify}"),
        await client.get(f"/users/password-reset/{reset}"),
        await client.post(f"/users/verify/{verify}", headers=BUTTON),
        await client.post(f"/users/password-reset/{reset}", data=NEW),
    ]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert all("no longer works" in answer.text for answer in answers)


async def test_the_pages_have_no_scripts_and_leak_nothing(client, open_link, links):
    """Checklist 30; ASVS 3.4.3, 3.4.5, 14.3.2."""
    _, verify, reset = await links()

    pages = [
        await client.get(verify),
        await open_link(reset),
        await client.post(reset, data={"password": "short"}),
        await client.get("/users/verify/x"),
        await client.post(verify, data=OWN),
        await client.post(reset, data=NEW),
    ]

    policies = [page.headers["content-security-policy"] for page in pages]
    assert {page.headers["cache-control"] for page in pages} == {"no-store"}
    assert {page.headers["referrer-policy"] for page in pages} == {"no-referrer"}
    assert {page.headers["x-content-type-options"] for page in pages} == {"nosniff"}
    assert all("default-src 'none'" in policy and "unsafe" not in policy for policy in policies)
    assert not any(re.search(r"https?:|\*", policy) for policy in policies)
    assert all("frame-ancestors 'none'" in policy and "base-uri 'none'" in policy for policy in policies)
    assert not any(re.search(r"<script|javascript:|\son\w+=|src=|https?://", page.text) for page in pages)


async def test_the_token_is_not_in_its_page(open_link, links):
    """The form posts to its own URL."""
    _, verify, reset = await links()

    pages = [await open_link(path) for path in (verify, reset)]

    assert not any("ey" + "J" in page.text for page in pages)
    assert all('<form method="post">' in page.text for page in pages)


async def test_the_page_states_the_configured_minimum(other_client, links):
    _, _, reset = await links()
    client = await other_client(password_min_length=9)
    opened = await client.get(reset)

    page = await client.get(
        opened.headers["location"], headers={"Cookie": opened.headers["set-cookie"].partition(";")[0]}
    )

    assert 'minlength="9"' in page.text


# Your own tests go below; template updates never touch them.
