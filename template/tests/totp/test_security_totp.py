"""Attacks on authenticator apps (Checklist 31): reused codes and leaked secrets."""

import asyncio

import pytest
from pyotp.totp import TOTP
from sqlalchemy import func, select, text

from app import clock
from app.keys import KeyRing
from app.second_factors.routes import factors_of
from app.totp.models import TotpSecret
from app.totp.totp import Totp
from app.users import UserSession
from tests.conftest import PASSWORD
from tests.totp.conftest import STEP

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])


async def number_of_sessions(db):
    async with db.session(commit=False) as session:
        return await session.scalar(select(func.count()).select_from(UserSession))


# A code works once


@pytest.mark.parametrize(
    "spell",
    [
        lambda code: code,
        lambda code: f"{code[:3]} {code[3:]}",
        lambda code: code.translate({48 + each: 0xFF10 + each for each in range(10)}),
        lambda code: code.translate({48 + each: 0x0660 + each for each in range(10)}),
    ],
    ids=["same", "spaces", "full-width", "arabic-indic"],
)
async def test_a_code_works_once_however_it_is_written(owner, person, spell):
    """Checklist 31. allauth 65.20.1 treated the same digits, written differently, as a new code."""
    code = owner.code()
    first = await person.answer(await person.ticket(), code=code)
    second = await person.answer(await person.ticket(), code=spell(code))

    assert (first.status_code, second.status_code) == (200, 401)


async def test_digits_of_other_scripts_are_read(owner, person):
    code = owner.code().translate({48 + each: 0x0660 + each for each in range(10)})

    assert (await person.answer(await person.ticket(), code=code)).status_code == 200


async def test_a_later_code_makes_the_earlier_one_invalid(owner, person, wait):
    """Checklist 31."""
    wait(STEP)
    earlier, later = owner.code(-1), owner.code()
    first = await person.answer(await person.ticket(), code=later)
    second = await person.answer(await person.ticket(), code=earlier)

    assert (first.status_code, second.status_code) == (200, 401)


async def test_the_code_that_set_up_the_app_does_not_log_in(make_owner, person, wait):
    """Checklist 31."""
    owner = await make_owner()
    wait(-STEP)

    assert (await person.answer(await person.ticket(), code=owner.code())).status_code == 401


async def test_a_code_used_to_confirm_does_not_log_in(client, owner, person):
    """Checklist 31. Every route that takes a code marks it as used."""
    code = {"code": owner.code()}
    confirmed = await client.post("/users/me/confirm/second-factor", json=code, headers=owner.headers)

    assert confirmed.status_code == 204
    assert (await person.answer(await person.ticket(), **code)).status_code == 401


@KINDS
async def test_eight_simultaneous_uses_start_one_session(owner, make_person, db, kind):
    """Checklist 31. Each use has the correct password and its own ticket (CVE-2026-31875, CVE-2025-67507)."""
    code = owner.code()
    people = [make_person() for _ in range(8)]
    tickets = [await person.ticket(kind) for person in people]
    before = await number_of_sessions(db)

    answers = await asyncio.gather(
        *(person.answer(ticket, kind, code=code) for person, ticket in zip(people, tickets, strict=True))
    )

    assert sorted(each.status_code for each in answers) == [200] + [401] * 7
    assert await number_of_sessions(db) == before + 1


# The secret


async def test_the_secret_is_encrypted_at_rest(owner, db):
    """Checklist 31."""
    async with db.session(commit=False) as session:
        stored = await session.scalar(select(TotpSecret.sealed_secret))
        everything = str((await session.execute(text("SELECT * FROM totp_secrets"))).all())

    assert owner.app.secret not in everything
    assert stored.startswith("gAAAA")


@pytest.mark.parametrize("thief_is_first", [True, False])
async def test_another_login_cannot_confirm_the_secret(
    client, make_user, login, person, wait, thief_is_first
):
    """Checklist 31. Otherwise the owner could set up an app with a secret that a thief has read."""
    ada = await make_user(is_verified=True)
    earlier = login(ada)
    wait(STEP)
    thief, owner = (earlier, login(ada)) if thief_is_first else (login(ada), earlier)
    secret = (await client.post("/users/me/totp", headers=thief)).json()["secret"]
    passwords = {"current_password": PASSWORD, "new_password": "quiet harbour stone"}
    changed = await client.post("/users/me/password", json=passwords, headers=owner)
    owner = {"Authorization": f"Bearer {changed.json()['access_token']}"}

    code = {"code": TOTP(secret).at(clock.now())}
    answer = await client.post("/users/me/totp/confirm", json=code, headers=owner)

    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_second_factor")
    assert (await person.password(password="quiet harbour stone")).status_code == 200


async def test_another_secret_key_decrypts_no_secret(owner, person, manager, caplog, monkeypatch):
    factors = factors_of(manager)
    other = Totp(KeyRing("another secret key of enough characters", "totp"), "My app", factors)
    monkeypatch.setitem(factors._factors, "code", other)

    assert (await person.answer(await person.ticket(), code=owner.code())).status_code == 401
    assert "SECRET_KEY has changed" in caplog.text


async def test_the_export_has_no_secret(client, owner):
    export = (await client.get("/users/me/export", headers=owner.headers)).text

    assert "totp_secrets" in export
    assert "sealed_secret" not in export


# Your own tests go below; template updates never touch them.
