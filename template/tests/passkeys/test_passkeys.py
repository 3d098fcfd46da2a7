"""Passkeys: how owners add them, log in with them, use them as a second factor and manage them."""

from datetime import timedelta

import pytest
from webauthn.helpers import base64url_to_bytes

from app.users.emails import NOTICES_OF_FEATURES
from tests.passkeys.authenticator import CAN_BE_BACKED_UP, PRESENT, Authenticator
from tests.passkeys.conftest import add_passkey, ask, begin, log_in

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])


@pytest.fixture
def security_key() -> Authenticator:
    """An authenticator that only asks for a touch, such as an old security key."""
    return Authenticator(flags=PRESENT, aaguid="00000000-0000-0000-0000-000000000000")


# Adding a passkey


async def test_the_options_follow_webauthn(client, make_user, login):
    ada = await make_user(is_verified=True)

    options = (await client.post("/users/me/passkeys/options", headers=login(ada))).json()

    assert options["rp"] == {"id": "test", "name": "HawkAPI app"}
    assert options["user"]["name"] == "ada@example.com"
    assert len(base64url_to_bytes(options["user"]["id"])) == 64
    assert len(base64url_to_bytes(options["challenge"])) == 32
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["userVerification"] == "preferred"
    assert {each["alg"] for each in options["pubKeyCredParams"]} == {-8, -7, -257}


async def test_the_first_passkey_comes_with_recovery_codes(client, make_user, login, phone, headings):
    headers = login(await make_user(is_verified=True))

    added = await add_passkey(client, headers, phone)
    factors = (await client.get("/users/me/factors", headers=headers)).json()

    assert added.status_code == 201
    assert len(added.json()["recovery_codes"]) == 10
    assert added.headers["cache-control"] == "no-store"
    assert factors == {"factors": ["passkey"], "recovery_codes": 10}
    assert await headings() == [NOTICES_OF_FEATURES["factor_added"].heading]


async def test_the_second_passkey_has_the_same_handle_and_no_recovery_codes(client, owner, phone):
    other = Authenticator()
    added = await add_passkey(client, owner.headers, other)

    assert "recovery_codes" not in added.json()
    assert phone.keys[0].handle == other.keys[0].handle


async def test_an_authenticator_is_not_asked_for_a_second_passkey(client, owner, phone):
    options = (await client.post("/users/me/passkeys/options", headers=owner.headers)).json()

    [excluded] = options["excludeCredentials"]
    assert base64url_to_bytes(excluded["id"]) == phone.keys[0].id
    assert excluded["transports"] == ["internal", "hybrid"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("", "Google Password Manager"), ("  My phone ", "My phone"), (" ", "Google Password Manager")],
)
async def test_a_passkey_has_a_given_name_or_that_of_its_authenticator(
    client, make_user, login, phone, name, shown
):
    added = await add_passkey(client, login(await make_user(is_verified=True)), phone, name=name)

    assert added.json()["name"] == shown


async def test_an_unknown_authenticator_is_called_passkey(client, make_user, login, security_key):
    added = await add_passkey(client, login(await make_user(is_verified=True)), security_key)

    shown = added.json()
    assert (shown["name"], shown["is_backed_up"], shown["replaces_password"]) == ("Passkey", False, False)


async def test_adding_a_passkey_requires_a_verified_address_and_a_recent_login(
    client, make_user, login, wait
):
    """Checklist 31."""
    new = login(await make_user("eve@example.com"))
    headers = login(await make_user(is_verified=True))
    first = await client.post("/users/me/passkeys/options", headers=new)
    wait(timedelta(minutes=11))
    second = await client.post("/users/me/passkeys/options", headers=headers)

    assert [each.json().get("code") for each in (first, second)] == [
        "email_not_verified",
        "recent_login_required",
    ]


async def test_adding_a_passkey_ends_the_sessions_of_other_browsers(client, make_user, login, phone):
    ada = await make_user(is_verified=True)
    headers, elsewhere = login(ada), login(ada)

    await add_passkey(client, headers, phone)

    answers = [await client.get("/users/me", headers=each) for each in (headers, elsewhere)]
    assert [answer.status_code for answer in answers] == [200, 401]


async def test_an_account_has_at_most_twenty_passkeys(client, owner, monkeypatch):
    monkeypatch.setattr("app.passkeys.passkeys.MAX_PASSKEYS", 2)
    options = (await client.post("/users/me/passkeys/options", headers=owner.headers)).json()
    await add_passkey(client, owner.headers, Authenticator())
    late = {"credential": Authenticator().create(options)}

    answers = [
        await client.post("/users/me/passkeys", json=late, headers=owner.headers),
        await client.post("/users/me/passkeys/options", headers=owner.headers),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(409, "too_many_passkeys")] * 2


# Logging in without a password


@KINDS
async def test_a_passkey_logs_in_without_an_address_or_a_password(owner, person, phone, kind):
    options = await begin(person)
    entered = await log_in(person, phone.get(options), kind)
    headers = {} if kind else {"Authorization": f"Bearer {entered.json()['access_token']}"}

    assert "allowCredentials" not in options or options["allowCredentials"] == []
    assert (options["userVerification"], options["rpId"]) == ("required", "test")
    assert (entered.status_code, entered.json()["email"]) == (200, "ada@example.com")
    assert (await person.client.get("/users/me", headers=headers)).status_code == 200


async def test_a_cookie_login_can_end_with_the_browser(owner, person, phone):
    entered = await log_in(person, phone.get(await begin(person)), "/cookie", remember=False)

    [cookie] = [each for each in entered.headers.get_list("set-cookie") if "-session=" in each]
    assert "Max-Age" not in cookie


async def test_the_previous_session_of_the_browser_ends(owner, person, phone):
    """ASVS 7.2.4."""
    await log_in(person, phone.get(await begin(person)), "/cookie")
    former = person.client.cookies["__Host-session"]
    await log_in(person, phone.get(await begin(person)), "/cookie")

    answer = await person.client.get("/users/me", headers={"Cookie": f"__Host-session={former}"})

    assert answer.status_code == 401


async def test_the_last_use_is_shown(client, owner, person, phone):
    await log_in(person, phone.get(await begin(person)))

    [shown] = (await client.get("/users/me/passkeys", headers=owner.headers)).json()

    assert owner.passkey["last_used_at"] is None
    assert shown["last_used_at"] == "2030-01-01T12:00:00Z"


async def test_a_login_is_in_the_audit_log(client, owner, person, phone, make_user, login):
    await log_in(person, phone.get(await begin(person)))
    admin = login(await make_user("root@example.com", is_superuser=True))

    events = (await client.get("/users/audit", headers=admin)).json()["items"]

    [event] = [each for each in events if each["event"] == "login"]
    assert (event["method"], event["outcome"]) == ("passkey", "success")


# As a second factor


@KINDS
async def test_a_passkey_is_a_second_factor(owner, person, phone, kind):
    problem = (await person.password(kind=kind)).json()
    options = await ask(person, problem["ticket"])
    entered = await person.answer(problem["ticket"], kind, credential=phone.get(options))

    assert problem["methods"] == ["credential", "recovery_code"]
    assert options["userVerification"] == "preferred"
    assert len(options["allowCredentials"]) == 1
    assert (entered.status_code, entered.json()["email"]) == (200, "ada@example.com")


async def test_a_touch_is_enough_after_a_password(make_owner, person, security_key):
    await make_owner(security_key)
    ticket = await person.ticket()

    entered = await person.answer(ticket, credential=security_key.get(await ask(person, ticket)))

    assert entered.status_code == 200


async def test_a_browser_need_not_repeat_its_ticket(owner, person):
    await person.ticket("/cookie")

    asked = await person.client.post("/users/login/second-factor/passkey/options", json={})

    assert asked.status_code == 200


async def test_an_unknown_ticket_gets_no_options(person):
    answer = await person.client.post("/users/login/second-factor/passkey/options", json={"ticket": "x"})

    assert (answer.status_code, answer.json()["code"]) == (401, "login_expired")


async def test_a_passkey_makes_the_login_recent_but_the_password_does_not(client, owner, phone, wait):
    wait(timedelta(minutes=11))
    before = await client.get("/users/me/export", headers=owner.headers)
    options = (await client.post("/users/me/confirm/passkey/options", headers=owner.headers)).json()
    confirmed = await client.post(
        "/users/me/confirm/second-factor", json={"credential": phone.get(options)}, headers=owner.headers
    )
    after = await client.get("/users/me/export", headers=owner.headers)

    assert options["userVerification"] == "required"
    assert [before.status_code, confirmed.status_code, after.status_code] == [403, 204, 200]


async def test_an_account_without_a_passkey_cannot_confirm_with_one(client, make_user, login):
    headers = login(await make_user(is_verified=True))

    answer = await client.post("/users/me/confirm/passkey/options", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (404, "no_second_factor")


# Managing passkeys


async def test_passkeys_are_listed_and_renamed(client, owner):
    path = f"/users/me/passkeys/{owner.passkey['id']}"
    renamed = await client.patch(path, json={"name": "Blue phone"}, headers=owner.headers)
    cleared = await client.patch(path, json={"name": ""}, headers=owner.headers)

    listed = (await client.get("/users/me/passkeys", headers=owner.headers)).json()

    assert renamed.json()["name"] == "Blue phone"
    assert cleared.json()["name"] == "Google Password Manager"
    assert [each["id"] for each in listed] == [owner.passkey["id"]]


async def test_a_removed_passkey_no_longer_logs_in(client, owner, person, phone):
    options = await begin(person)
    removed = await client.delete(f"/users/me/passkeys/{owner.passkey['id']}", headers=owner.headers)
    entered = await log_in(person, phone.get(options))

    assert removed.status_code == 204
    assert (entered.status_code, entered.json()["code"]) == (401, "passkey_refused")
    assert (await client.get("/users/me/factors", headers=owner.headers)).json() == {
        "factors": [],
        "recovery_codes": 0,
    }
    assert (await person.password()).status_code == 200


async def test_removing_one_of_two_passkeys_keeps_the_recovery_codes(client, owner):
    other = (await add_passkey(client, owner.headers, Authenticator())).json()

    await client.delete(f"/users/me/passkeys/{other['id']}", headers=owner.headers)

    left = (await client.get("/users/me/factors", headers=owner.headers)).json()
    assert left == {"factors": ["passkey"], "recovery_codes": 10}


@pytest.mark.parametrize("method", ["patch", "delete"])
async def test_changing_a_passkey_requires_a_recent_login(client, owner, wait, method):
    """Checklist 24."""
    wait(timedelta(minutes=11))
    body = {"json": {"name": "lost phone"}} if method == "patch" else {}

    answer = await client.request(
        method, f"/users/me/passkeys/{owner.passkey['id']}", headers=owner.headers, **body
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "recent_login_required")


@pytest.mark.parametrize("method", ["patch", "delete"])
async def test_another_users_passkey_is_not_found(client, owner, make_owner, method):
    eve = await make_owner(Authenticator(), "eve@example.com")
    body = {"json": {"name": "mine"}} if method == "patch" else {}

    answer = await client.request(
        method, f"/users/me/passkeys/{owner.passkey['id']}", headers=eve.headers, **body
    )

    assert (answer.status_code, answer.json()["code"]) == (404, "no_second_factor")


async def test_the_last_factor_cannot_be_removed_if_one_is_required(client, owner, manager, monkeypatch):
    """Checklist 33."""
    monkeypatch.setattr(manager, "require_second_factor", "all")

    answer = await client.delete(f"/users/me/passkeys/{owner.passkey['id']}", headers=owner.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "last_second_factor")


async def test_a_passkey_can_be_added_if_a_factor_is_required(
    client, make_user, person, phone, manager, monkeypatch
):
    """Checklist 33."""
    await make_user(is_verified=True)
    monkeypatch.setattr(manager, "require_second_factor", "all")
    tokens = (await person.password()).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    before = await client.get("/users/me", headers=headers)

    await add_passkey(client, headers, phone)

    after = await client.get("/users/me", headers=headers)
    assert (before.json()["code"], after.status_code) == ("second_factor_setup_required", 200)


async def test_a_passkey_login_satisfies_a_required_factor(
    client, owner, person, phone, manager, monkeypatch
):
    """Checklist 33."""
    monkeypatch.setattr(manager, "require_second_factor", "all")
    tokens = (await log_in(person, phone.get(await begin(person)))).json()

    answer = await client.get("/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    assert answer.status_code == 200


async def test_a_superuser_can_remove_all_passkeys_of_an_account(client, owner, make_user, login, person):
    await add_passkey(client, owner.headers, Authenticator(flags=PRESENT | CAN_BE_BACKED_UP))
    admin = login(await make_user("root@example.com", is_superuser=True))

    removed = await client.delete(f"/users/{owner.user.id}/factors", headers=admin)

    assert removed.status_code == 204
    assert (await person.password()).status_code == 200


async def test_the_export_has_the_passkeys_but_no_challenge(client, owner):
    export = (await client.get("/users/me/export", headers=owner.headers)).json()["related_records"]

    assert [each["name"] for each in export["passkeys"]] == ["Google Password Manager"]
    assert len(export["passkey_handles"]) == 1
    assert "passkey_challenges" not in export


# Your own tests go below; template updates never touch them.
