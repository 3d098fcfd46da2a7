"""Checklist 31: attacks on logging in with a passkey and on adding one."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from app.database import batches
from app.passkeys.challenges import remove_expired
from app.passkeys.models import Passkey, PasskeyChallenge
from app.users import UserSession
from app.users.audit import AuditEvent
from tests.passkeys.authenticator import BACKED_UP, CAN_BE_BACKED_UP, PRESENT, VERIFIED, Authenticator
from tests.passkeys.conftest import add_passkey, ask, begin, log_in

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])


@pytest.fixture
def number_of(db):
    """`await number_of(Passkey)`: the number of rows in a table."""

    async def count(model):
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(model))

    return count


@pytest.fixture
def failed_logins(db):
    """`await failed_logins()`: the number of failed logins in the audit log."""

    async def count():
        failed = select(func.count()).where(AuditEvent.event == "login", AuditEvent.outcome == "failure")
        async with db.session(commit=False) as session:
            return await session.scalar(failed)

    return count


@pytest.fixture
def unknown() -> Authenticator:
    """An authenticator with a passkey that does not belong to any account."""
    authenticator = Authenticator()
    authenticator.create({"user": {"id": "AA"}, "challenge": "AA"})
    return authenticator


@pytest.fixture
def confirm(client, owner, phone):
    """`await confirm(credential)`: the response from the route that confirms the login."""

    async def send(credential):
        body = {"credential": credential}
        return await client.post("/users/me/confirm/second-factor", json=body, headers=owner.headers)

    return send


# A response works once


@KINDS
async def test_a_response_logs_in_once(owner, person, phone, kind):
    """Checklist 31. OneUptime took the challenge from the client (CVE-2026-28787)."""
    credential = phone.get(await begin(person))
    answers = [await log_in(person, credential, kind) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 401]


@KINDS
async def test_eight_simultaneous_uses_start_one_session(owner, person, phone, number_of, kind):
    """Checklist 31."""
    credential = phone.get(await begin(person))
    key = {"Cookie": f"__Host-passkey={person.client.cookies['__Host-passkey']}"}
    before = await number_of(UserSession)
    path, body = f"/users/login/passkey{kind}", {"credential": credential}

    answers = await asyncio.gather(*(person.client.post(path, json=body, headers=key) for _ in range(8)))

    assert sorted(each.status_code for each in answers) == [200] + [401] * 7
    assert await number_of(UserSession) == before + 1


@KINDS
async def test_eight_simultaneous_uses_as_a_second_factor_start_one_session(
    owner, person, phone, number_of, kind
):
    """Checklist 31."""
    ticket = await person.ticket(kind)
    credential = phone.get(await ask(person, ticket))
    before = await number_of(UserSession)

    answers = await asyncio.gather(*(person.answer(ticket, kind, credential=credential) for _ in range(8)))

    assert sorted(each.status_code for each in answers)[:2] == [200, 401]
    assert await number_of(UserSession) == before + 1


async def test_only_one_of_eight_simultaneous_confirmations_succeeds(client, owner, phone, confirm):
    """Checklist 31."""
    options = (await client.post("/users/me/confirm/passkey/options", headers=owner.headers)).json()
    credential = phone.get(options)

    answers = await asyncio.gather(*(confirm(credential) for _ in range(8)))

    assert sorted(each.status_code for each in answers) == [204] + [400] * 7


async def test_only_one_of_eight_simultaneous_additions_succeeds(client, make_user, login, phone, number_of):
    """Checklist 31."""
    headers = login(await make_user(is_verified=True))
    options = (await client.post("/users/me/passkeys/options", headers=headers)).json()
    body = {"credential": phone.create(options)}

    answers = await asyncio.gather(
        *(client.post("/users/me/passkeys", json=body, headers=headers) for _ in range(8))
    )

    assert sorted(each.status_code for each in answers) == [201] + [400] * 7
    assert await number_of(Passkey) == 1


async def test_a_refused_response_uses_up_its_challenge(owner, person, phone, unknown, number_of):
    """Checklist 31. Otherwise the same challenge could be tried any number of times."""
    for refused in (unknown, Authenticator(origin="https://evil.example", keys=phone.keys)):
        options = await begin(person)
        await log_in(person, refused.get(options))

        assert await number_of(PasskeyChallenge) == 0
        assert (await log_in(person, phone.get(options))).status_code == 401


async def test_a_challenge_lasts_five_minutes(owner, person, phone, wait):
    early, late = await begin(person), await begin(person)
    wait(timedelta(minutes=5) - timedelta(seconds=1))
    first = await log_in(person, phone.get(early))
    wait(timedelta(seconds=1))
    second = await log_in(person, phone.get(late))

    assert (first.status_code, second.status_code) == (200, 401)


# A challenge is valid for only one purpose


async def test_a_challenge_is_for_one_ceremony(client, owner, person, phone, confirm):
    """Checklist 31. A response that was requested for one purpose must not be accepted for another."""
    ticket = await person.ticket()
    to_log_in, as_factor = await begin(person), await ask(person, ticket)
    to_confirm = (await client.post("/users/me/confirm/passkey/options", headers=owner.headers)).json()

    answers = [
        await log_in(person, phone.get(as_factor)),
        await log_in(person, phone.get(to_confirm)),
        await person.answer(ticket, credential=phone.get(to_log_in)),
        await person.answer(ticket, credential=phone.get(to_confirm)),
        await confirm(phone.get(to_log_in)),
        await confirm(phone.get(as_factor)),
    ]

    assert [each.status_code for each in answers] == [401, 401, 401, 401, 400, 400]


@KINDS
async def test_another_browser_cannot_finish_the_login(owner, person, make_person, phone, kind):
    """Checklist 31. An attacker could start a login and have a victim finish it (CVE-2026-7507)."""
    credential = phone.get(await begin(person))

    answer = await log_in(make_person("another browser"), credential, kind)

    assert (answer.status_code, answer.json().get("code")) == (401, "passkey_refused")


async def test_a_cookie_login_needs_the_cookie_of_its_browser(owner, person, make_person, phone):
    """Checklist 31. Two browsers may have the same User-Agent."""
    credential = phone.get(await begin(person))

    assert (await log_in(make_person(), credential, "/cookie")).status_code == 401


async def test_the_challenge_of_one_ticket_does_not_answer_another(owner, person, phone):
    """Checklist 31."""
    first, second = await person.ticket(), await person.ticket()

    answer = await person.answer(second, credential=phone.get(await ask(person, first)))

    assert answer.status_code == 401


async def test_the_challenge_of_one_session_adds_nothing_to_another(client, make_user, login, phone):
    """Checklist 31."""
    ada, eve = (
        login(await make_user(is_verified=True)),
        login(await make_user("eve@example.com", is_verified=True)),
    )
    options = (await client.post("/users/me/passkeys/options", headers=eve)).json()

    body = {"credential": phone.create(options)}
    answer = await client.post("/users/me/passkeys", json=body, headers=ada)

    assert (answer.status_code, answer.json().get("code")) == (400, "wrong_second_factor")


# Whose passkey it is


async def test_a_passkey_does_not_log_in_to_another_account(owner, make_owner, person, phone):
    """Checklist 31. The user handle must belong to the passkey's account."""
    other = Authenticator()
    await make_owner(other, "eve@example.com")
    other.keys[0].handle = phone.keys[0].handle

    assert (await log_in(person, other.get(await begin(person)))).status_code == 401


async def test_another_accounts_passkey_is_not_a_second_factor(owner, make_owner, person):
    """Checklist 31."""
    other = Authenticator()
    await make_owner(other, "eve@example.com")
    ticket = await person.ticket()

    credential = other.get(await ask(person, ticket), other.keys[0])

    assert (await person.answer(ticket, credential=credential)).status_code == 401


async def test_a_signature_by_another_key_is_refused(owner, person, phone, failed_logins):
    """Checklist 31. The attempt is recorded in the account's audit log."""
    forger = Authenticator()
    forged = forger.create({"user": {"id": bytes_to_base64url(phone.keys[0].handle)}, "challenge": "AA"})
    forger.keys[0].id = phone.keys[0].id

    answer = await log_in(person, forger.get(await begin(person)))

    assert forged["id"] != bytes_to_base64url(phone.keys[0].id)
    assert answer.status_code == 401
    assert await failed_logins() == 1


async def test_a_padded_handle_is_accepted(owner, person, phone):
    credential = phone.get(await begin(person))
    credential["response"]["userHandle"] += "=="

    assert (await log_in(person, credential)).status_code == 200


async def test_a_passkey_is_added_once(client, owner, make_user, login, phone):
    """Checklist 31. Otherwise the passkey would also give access to a second account."""
    eve = login(await make_user("eve@example.com", is_verified=True))
    options = (await client.post("/users/me/passkeys/options", headers=eve)).json()
    copy = Authenticator()
    credential = copy.create(options)
    stolen = base64url_to_bytes(credential["response"]["attestationObject"]).replace(
        copy.keys[0].id, phone.keys[0].id
    )
    credential["response"]["attestationObject"] = bytes_to_base64url(stolen)
    credential["id"] = credential["rawId"] = bytes_to_base64url(phone.keys[0].id)

    answer = await client.post("/users/me/passkeys", json={"credential": credential}, headers=eve)

    assert (answer.status_code, answer.json().get("code")) == (409, "passkey_exists")


# What the authenticator must report


@pytest.mark.parametrize(
    "hostile",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://test.evil.example"},
        {"domain": "evil.example"},
        {"is_cross_origin": True},
        {"flags": VERIFIED | CAN_BE_BACKED_UP | BACKED_UP},
    ],
    ids=["origin", "longer origin", "domain", "frame", "nobody present"],
)
async def test_a_response_for_another_site_is_refused(client, owner, person, phone, hostile):
    """Checklist 31. A phished response is refused in every ceremony."""
    elsewhere = Authenticator(keys=phone.keys, **hostile)
    ticket = await person.ticket()

    answers = [
        await log_in(person, elsewhere.get(await begin(person))),
        await person.answer(ticket, credential=elsewhere.get(await ask(person, ticket))),
        await add_passkey(client, owner.headers, Authenticator(**hostile)),
    ]

    assert [each.status_code for each in answers] == [401, 401, 400]


async def test_a_login_without_a_password_requires_user_verification(client, owner, person, phone, confirm):
    """Checklist 31. A thief who cannot unlock the phone must not be able to log in with it."""
    phone.flags &= ~VERIFIED
    options = (await client.post("/users/me/confirm/passkey/options", headers=owner.headers)).json()

    answers = [await log_in(person, phone.get(await begin(person))), await confirm(phone.get(options))]

    assert [each.status_code for each in answers] == [401, 400]


async def test_a_pin_set_later_does_not_replace_the_password(make_owner, person, failed_logins):
    """Checklist 31. Otherwise a thief could log in by setting a PIN on a key that had none."""
    key = Authenticator(flags=PRESENT)
    owner = await make_owner(key)
    key.flags |= VERIFIED

    answer = await log_in(person, key.get(await begin(person)))

    assert owner.passkey["replaces_password"] is False
    assert (answer.status_code, answer.json().get("code")) == (401, "passkey_refused")
    assert await failed_logins() == 1


async def test_a_passkey_that_never_verified_its_user_still_confirms(client, make_owner, phone, confirm):
    """Otherwise the owner would be locked out, because the password is not accepted as confirmation."""
    key = Authenticator(flags=PRESENT)
    owner = await make_owner(key, "eve@example.com")
    options = (await client.post("/users/me/confirm/passkey/options", headers=owner.headers)).json()
    body = {"credential": key.get(options)}

    answer = await client.post("/users/me/confirm/second-factor", json=body, headers=owner.headers)

    assert answer.status_code == 204


async def test_the_backup_flags_are_checked(client, owner, person, phone):
    """Checklist 31. A passkey's backup eligibility never changes, but its backup state may."""
    phone.flags &= ~BACKED_UP
    first = await log_in(person, phone.get(await begin(person)))
    [shown] = (await client.get("/users/me/passkeys", headers=owner.headers)).json()
    phone.flags &= ~CAN_BE_BACKED_UP
    second = await log_in(person, phone.get(await begin(person)))

    assert (first.status_code, shown["is_backed_up"]) == (200, False)
    assert second.status_code == 401


async def test_a_count_that_does_not_increase_is_only_recorded(owner, make_owner, person, db, caplog):
    """The passkey may have been copied, but the counter does not prove it (WebAuthn level 3, 7.2, step
    22).
    """
    key = Authenticator(counts=True)
    await make_owner(key, "eve@example.com")
    key.keys[0].count -= 1

    answer = await log_in(person, key.get(await begin(person)))

    assert answer.status_code == 200
    assert "may be a copy" in caplog.text
    async with db.session(commit=False) as session:
        assert await session.scalar(select(func.count()).where(AuditEvent.event == "passkey_count")) == 1


# Ways around the passkey


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"must_reset_password": True}, {"is_verified": False}],
    ids=lambda change: next(iter(change)),
)
async def test_an_account_that_may_not_log_in_is_refused(
    owner, person, phone, manager, db, change, failed_logins, monkeypatch
):
    """Checklist 31. The response is the same as for an unknown passkey. The attempt is audited."""
    monkeypatch.setattr(manager, "login_requires_verification", True)
    async with db.session() as session:
        await manager.update(session, await manager.get_by_id(session, owner.user.id), **change)

    answer = await log_in(person, phone.get(await begin(person)))

    assert (answer.status_code, answer.json().get("code")) == (401, "passkey_refused")
    assert await failed_logins() == 1


async def test_an_unknown_passkey_gets_the_response_of_a_refused_one(owner, person, phone, unknown):
    phone.flags &= ~VERIFIED

    answers = [await log_in(person, each.get(await begin(person))) for each in (unknown, phone)]

    assert answers[0].text == answers[1].text


async def test_a_password_reset_does_not_bypass_the_passkey(client, owner, person, manager):
    """Checklist 31."""
    token = manager.reset_token(owner.user)
    await client.post(f"/users/password-reset/{token}", json={"password": "a brand new password"})

    answer = await person.password(password="a brand new password")

    assert answer.json()["code"] == "second_factor_required"


async def test_another_site_cannot_log_a_browser_in(owner, person, phone):
    """Checklist 35."""
    credential = phone.get(await begin(person))
    person.client.headers["Sec-Fetch-Site"] = "cross-site"

    assert (await log_in(person, credential, "/cookie")).status_code == 403


async def test_a_challenge_is_not_a_credential(owner, person):
    """Checklist 31. Routes that accept credentials refuse the challenge (CVE-2026-45690)."""
    await begin(person)
    key = person.client.cookies["__Host-passkey"]

    answers = [
        await person.client.get("/users/me", headers={"Authorization": f"Bearer {key}"}),
        await person.client.get("/users/me", headers={"Cookie": f"__Host-session={key}"}),
        await person.client.post("/users/token/refresh", json={"refresh_token": key}),
        await person.client.post("/users/login/second-factor", json={"ticket": key, "code": "1"}),
    ]

    assert [each.status_code for each in answers] == [401] * 4


async def test_the_table_of_challenges_does_not_grow_forever(
    owner, person, app, db, number_of, wait, monkeypatch
):
    """Rows are removed in batches, because anyone can request challenges."""
    monkeypatch.setattr(batches, "BATCH", 1)
    for _ in range(3):
        await begin(person)
    wait(timedelta(minutes=5))
    [task] = [each for each in app.state.tasks if each.name == "remove expired challenges"]
    async with db.session() as session:
        removed = await remove_expired(session)

    await task.do()

    assert (removed, await number_of(PasskeyChallenge)) == (1, 0)


# Your own tests go below; template updates never touch them.
