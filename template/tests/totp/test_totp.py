"""Authenticator apps: setting one up, logging in with it and removing it."""

from datetime import timedelta

import pytest
from pyotp.totp import TOTP

from app import clock
from tests.totp.conftest import STEP

# Setting up an app


async def test_the_secret_is_shown_as_text_uri_and_image(client, make_user, login):
    ada = await make_user(is_verified=True)

    begun = (await client.post("/users/me/totp", headers=login(ada))).json()

    assert begun["uri"].startswith("otpauth://totp/HawkAPI%20app:ada%40example.com?secret=" + begun["secret"])
    assert begun["qr_svg"].startswith("<svg ")
    assert len(begun["secret"]) == 32


async def test_a_login_asks_for_a_code_only_after_the_first_correct_one(client, make_user, login, person):
    """Checklist 31: otherwise a secret that was never confirmed would lock the owner out."""
    ada = await make_user(is_verified=True)
    headers = login(ada)
    await client.post("/users/me/totp", headers=headers)

    wrong = await client.post("/users/me/totp/confirm", json={"code": "000000"}, headers=headers)

    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_second_factor")
    assert (await person.password()).status_code == 200


async def test_setting_up_an_app_requires_a_verified_address_and_a_recent_login(
    client, make_user, login, wait
):
    """Checklist 31."""
    unverified = await make_user("eve@example.com")
    ada = await make_user("ada@example.com", is_verified=True)
    headers = login(ada)
    first = await client.post("/users/me/totp", headers=login(unverified))
    wait(timedelta(minutes=11))
    second = await client.post("/users/me/totp", headers=headers)

    assert [each.json().get("code") for each in (first, second)] == [
        "email_not_verified",
        "recent_login_required",
    ]


async def test_a_second_secret_replaces_one_that_was_not_confirmed(client, make_user, login):
    ada = await make_user(is_verified=True)
    headers = login(ada)
    secrets = [(await client.post("/users/me/totp", headers=headers)).json()["secret"] for _ in range(2)]

    answers = [
        await client.post(
            "/users/me/totp/confirm", json={"code": TOTP(secret).at(clock.now())}, headers=headers
        )
        for secret in secrets
    ]

    assert [answer.status_code for answer in answers] == [400, 200]


async def test_an_account_has_one_authenticator_app(client, owner):
    answer = await client.post("/users/me/totp", headers=owner.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "totp_already_set_up")


async def test_setting_up_an_app_ends_the_sessions_of_other_browsers(client, make_user, login, make_person):
    ada = await make_user(is_verified=True)
    headers, elsewhere = login(ada), login(ada)
    secret = (await client.post("/users/me/totp", headers=headers)).json()["secret"]

    await client.post("/users/me/totp/confirm", json={"code": TOTP(secret).at(clock.now())}, headers=headers)

    answers = [await client.get("/users/me", headers=each) for each in (headers, elsewhere)]
    assert [answer.status_code for answer in answers] == [200, 401]


async def test_a_session_that_lacks_a_required_factor_can_set_one_up(make_user, manager, person):
    """The factor is required by REQUIRE_SECOND_FACTOR."""
    await make_user(is_verified=True)
    manager.require_second_factor = "all"
    entered = (await person.password()).json()
    headers = {"Authorization": f"Bearer {entered['access_token']}"}

    begun = (await person.client.post("/users/me/totp", headers=headers)).json()
    code = {"code": TOTP(begun["secret"]).at(clock.now())}
    confirmed = await person.client.post("/users/me/totp/confirm", json=code, headers=headers)

    assert confirmed.status_code == 200
    assert (await person.client.get("/users/me", headers=headers)).status_code == 200


# Logging in


async def test_a_login_with_password_and_code(owner, person):
    refused = (await person.password()).json()
    entered = await person.answer(refused["ticket"], code=owner.code())

    assert refused["methods"] == ["code", "recovery_code"]
    assert entered.status_code == 200


@pytest.mark.parametrize("spelling", ["{0} {1}", "{0}-{1}", " {0}{1}\t"])
async def test_a_code_may_be_written_in_groups(owner, person, spelling):
    code = owner.code()

    entered = await person.answer(await person.ticket(), code=spelling.format(code[:3], code[3:]))

    assert entered.status_code == 200


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_clocks_may_differ_by_one_step(owner, person, wait, steps):
    wait(STEP)

    assert (await person.answer(await person.ticket(), code=owner.code(steps))).status_code == 200


@pytest.mark.parametrize("steps", [-2, 2])
async def test_other_codes_are_refused(owner, person, wait, steps):
    wait(2 * STEP)

    assert (await person.answer(await person.ticket(), code=owner.code(steps))).status_code == 401


# Removing the app


async def test_after_removal_the_password_is_enough_and_the_codes_are_gone(client, owner, person):
    removed = await client.delete("/users/me/totp", headers=owner.headers)
    left = (await client.get("/users/me/factors", headers=owner.headers)).json()

    assert removed.status_code == 204
    assert left == {"factors": [], "recovery_codes": 0}
    assert (await person.password()).status_code == 200


async def test_a_missing_app_cannot_be_removed(client, make_user, login):
    ada = await make_user(is_verified=True)

    answer = await client.delete("/users/me/totp", headers=login(ada))

    assert (answer.status_code, answer.json()["code"]) == (404, "no_second_factor")


async def test_removing_an_app_requires_a_recent_login(client, owner, wait):
    wait(timedelta(minutes=11))

    assert (await client.delete("/users/me/totp", headers=owner.headers)).status_code == 403


async def test_a_required_app_cannot_be_removed(client, owner, manager):
    manager.require_second_factor = "all"

    answer = await client.delete("/users/me/totp", headers=owner.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "last_second_factor")


async def test_an_administrator_sees_and_resets_the_app(client, owner, make_user, login, person):
    admin = login(await make_user("admin@example.com", is_superuser=True))
    path = f"/users/{owner.user.id}/factors"

    seen = (await client.get(path, headers=admin)).json()
    reset = await client.delete(path, headers=admin)

    assert seen["factors"] == ["totp"]
    assert reset.status_code == 204
    assert (await person.password()).status_code == 200


# Your own tests go below; template updates never touch them.
