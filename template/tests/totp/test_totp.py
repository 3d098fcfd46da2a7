"""Authenticator apps: set one up, log in with it, confirm with it, remove it."""

from datetime import timedelta

import pytest
from pyotp.totp import TOTP

from app import clock
from tests.totp.conftest import STEP

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])


# Setting it up


async def test_the_secret_is_shown_as_text_uri_and_image(client, make_user, login):
    ada = await make_user(is_verified=True)

    begun = (await client.post("/users/me/totp", headers=login(ada))).json()

    assert begun["uri"].startswith("otpauth://totp/HawkAPI%20app:ada%40example.com?secret=" + begun["secret"])
    assert begun["qr_svg"].startswith("<svg ")
    assert len(begun["secret"]) == 32


async def test_a_login_asks_for_a_code_only_after_the_first_right_one(client, make_user, login, person):
    """Checklist 31: a secret that was never confirmed would lock the owner out."""
    ada = await make_user(is_verified=True)
    headers = login(ada)
    await client.post("/users/me/totp", headers=headers)

    wrong = await client.post("/users/me/totp/confirm", json={"code": "000000"}, headers=headers)

    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_second_factor")
    assert (await person.password()).status_code == 200


async def test_it_needs_a_verified_address_and_a_recent_login(client, make_user, login, wait):
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


async def test_setting_it_up_is_mailed(owner, headings):
    assert await headings() == ["A second factor was added"]


async def test_setting_it_up_ends_the_session_of_another_browser(client, make_user, login, make_person):
    ada = await make_user(is_verified=True)
    headers, elsewhere = login(ada), login(ada)
    secret = (await client.post("/users/me/totp", headers=headers)).json()["secret"]

    await client.post("/users/me/totp/confirm", json={"code": TOTP(secret).at(clock.now())}, headers=headers)

    answers = [await client.get("/users/me", headers=each) for each in (headers, elsewhere)]
    assert [answer.status_code for answer in answers] == [200, 401]


# Logging in


@KINDS
async def test_a_login_with_password_and_code(owner, person, kind):
    refused = await person.password(kind=kind)
    problem = refused.json()
    entered = await person.answer(problem["ticket"], kind, code=owner.code())
    headers = {} if kind else {"Authorization": f"Bearer {entered.json()['access_token']}"}

    assert (refused.status_code, problem["code"]) == (401, "second_factor_required")
    assert problem["methods"] == ["code", "recovery_code"]
    assert (entered.status_code, entered.json()["email"]) == (200, "ada@example.com")
    assert (await person.client.get("/users/me", headers=headers)).status_code == 200


async def test_remember_me_is_kept_until_the_session_begins(owner, person):
    ticket = (await person.password(kind="/cookie", remember=False)).json()["ticket"]

    entered = await person.answer(ticket, "/cookie", code=owner.code())

    [cookie] = [each for each in entered.headers.get_list("set-cookie") if "session=" in each]
    assert "Max-Age" not in cookie


async def test_an_account_without_a_factor_logs_in_as_before(make_user, owner, person):
    await make_user("eve@example.com")

    assert (await person.password("eve@example.com")).status_code == 200


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


# Confirming


async def test_a_code_makes_the_login_recent_and_the_password_does_not(client, owner, wait):
    wait(timedelta(minutes=11))
    before = await client.get("/users/me/export", headers=owner.headers)
    password = await client.post(
        "/users/me/confirm", json={"password": "correct horse battery"}, headers=owner.headers
    )
    code = await client.post(
        "/users/me/confirm/second-factor", json={"code": owner.code()}, headers=owner.headers
    )
    after = await client.get("/users/me/export", headers=owner.headers)

    assert [before.status_code, code.status_code, after.status_code] == [403, 204, 200]
    assert (password.status_code, password.json()["code"]) == (403, "confirm_with_second_factor")
    assert "ticket" not in password.json()


async def test_a_wrong_code_confirms_nothing(client, owner, wait):
    wait(timedelta(minutes=11))

    answer = await client.post(
        "/users/me/confirm/second-factor", json={"code": "000000"}, headers=owner.headers
    )

    assert answer.status_code == 400
    assert (await client.get("/users/me/export", headers=owner.headers)).status_code == 403


# Removing it


async def test_without_it_the_password_is_enough_and_the_codes_are_gone(client, owner, person):
    removed = await client.delete("/users/me/totp", headers=owner.headers)
    left = (await client.get("/users/me/factors", headers=owner.headers)).json()

    assert removed.status_code == 204
    assert left == {"factors": [], "recovery_codes": 0}
    assert (await person.password()).status_code == 200


async def test_what_is_not_there_cannot_be_removed(client, make_user, login):
    ada = await make_user(is_verified=True)

    answer = await client.delete("/users/me/totp", headers=login(ada))

    assert (answer.status_code, answer.json()["code"]) == (404, "no_second_factor")


async def test_removing_needs_a_recent_login(client, owner, wait):
    wait(timedelta(minutes=11))

    assert (await client.delete("/users/me/totp", headers=owner.headers)).status_code == 403


# Administration


async def test_a_superuser_sees_and_resets_the_factors_of_an_account(
    client, owner, make_user, login, person, headings
):
    admin = login(await make_user("admin@example.com", is_superuser=True))
    path = f"/users/{owner.user.id}/factors"

    seen = (await client.get(path, headers=admin)).json()
    reset = await client.delete(path, headers=admin)

    assert seen == {"factors": ["totp"], "recovery_codes": 10}
    assert reset.status_code == 204
    assert (await client.get("/users/me", headers=owner.headers)).status_code == 401
    assert (await person.password()).status_code == 200
    assert (await headings())[-1] == "Your second factors were removed"


async def test_others_reset_no_factors(client, owner, make_user, login):
    eve = login(await make_user("eve@example.com", is_verified=True))
    path = f"/users/{owner.user.id}/factors"

    answers = [await client.get(path, headers=eve), await client.delete(path, headers=eve)]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_the_export_has_no_secret_of_a_factor(client, owner):
    export = (await client.get("/users/me/export", headers=owner.headers)).text

    assert "totp_secrets" in export
    assert "sealed_secret" not in export
    assert "code_hash" not in export
