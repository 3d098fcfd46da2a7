"""Second factors: setup, login, confirmation, removal and administration."""

from datetime import timedelta

import pytest

from app.second_factors import Factors
from app.users.emails import NOTICES_OF_FEATURES
from app.users.exceptions import NoSecondFactor
from tests.second_factors.conftest import SampleFactor

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])


@pytest.fixture
def other(factors: Factors, sample) -> SampleFactor:
    """A second kind of factor."""
    other = SampleFactor("other", method="credential")
    factors.add(other)
    return other


# Setting up a factor


async def test_setting_up_a_factor_notifies_the_owner(owner, headings):
    assert await headings() == [NOTICES_OF_FEATURES["factor_added"].heading]


async def test_setting_up_a_factor_ends_the_other_sessions(client, make_user, login, set_up, wait):
    ada = await make_user(is_verified=True)
    elsewhere = login(ada)
    wait(timedelta(minutes=1))
    headers = login(ada)

    await set_up(ada)

    answers = [await client.get("/users/me", headers=each) for each in (headers, elsewhere)]
    assert [answer.status_code for answer in answers] == [200, 401]


async def test_adding_another_factor_keeps_the_recovery_codes(client, owner, other, set_up):
    assert await set_up(owner.user, other) is None

    listed = (await client.get("/users/me/factors", headers=owner.headers)).json()
    assert listed == {"factors": ["sample", "other"], "recovery_codes": 10}


@pytest.mark.parametrize("method", ["code", "recovery_code"])
async def test_every_factor_needs_its_own_method(factors, sample, method):
    """If two factors shared a method, logins would no longer ask for the earlier one."""
    with pytest.raises(ValueError, match="sms needs its own"):
        factors.add(SampleFactor("sms", method=method))


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


async def test_remember_me_is_kept_until_the_session_starts(owner, person):
    ticket = (await person.password(kind="/cookie", remember=False)).json()["ticket"]

    entered = await person.answer(ticket, "/cookie", code=owner.code())

    [cookie] = [each for each in entered.headers.get_list("set-cookie") if "session=" in each]
    assert "Max-Age" not in cookie


async def test_an_account_without_a_factor_logs_in_with_only_a_password(make_user, owner, person):
    await make_user("eve@example.com")

    assert (await person.password("eve@example.com")).status_code == 200


async def test_a_login_asks_for_one_of_several_factors(owner, other, set_up, person):
    await set_up(owner.user, other)

    refused = await person.password()
    entered = await person.answer(refused.json()["ticket"], code=owner.code())

    assert refused.json()["methods"] == ["code", "credential", "recovery_code"]
    assert entered.status_code == 200


# Confirming


async def test_a_code_makes_the_login_recent_but_the_password_does_not(client, owner, wait):
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


# Removing a factor


async def test_after_removal_the_password_is_enough_and_the_codes_are_gone(client, owner, remove, person):
    await remove(owner.user)

    listed = (await client.get("/users/me/factors", headers=owner.headers)).json()
    assert listed == {"factors": [], "recovery_codes": 0}
    assert (await person.password()).status_code == 200


async def test_removing_one_of_two_factors_keeps_the_other_and_the_codes(
    client, owner, other, set_up, remove
):
    await set_up(owner.user, other)

    await remove(owner.user, other)

    listed = (await client.get("/users/me/factors", headers=owner.headers)).json()
    assert listed == {"factors": ["sample"], "recovery_codes": 10}


async def test_a_missing_factor_cannot_be_removed(owner, other, remove):
    with pytest.raises(NoSecondFactor):
        await remove(owner.user, other)


async def test_removing_a_factor_notifies_the_owner_and_ends_the_other_sessions(
    client, owner, login, remove, wait, headings
):
    wait(timedelta(minutes=1))
    headers = login(owner.user)

    await remove(owner.user)

    answers = [await client.get("/users/me", headers=each) for each in (headers, owner.headers)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert (await headings())[-1] == NOTICES_OF_FEATURES["factor_removed"].heading


# Administration


async def test_a_superuser_sees_and_resets_the_factors_of_an_account(
    client, owner, make_user, login, person, outbox
):
    """The owner does not learn the superuser's IP address."""
    admin = login(await make_user("admin@example.com", is_superuser=True))
    path = f"/users/{owner.user.id}/factors"

    seen = (await client.get(path, headers=admin)).json()
    reset = await client.delete(path, headers=admin)

    assert seen == {"factors": ["sample"], "recovery_codes": 10}
    assert reset.status_code == 204
    assert (await client.get("/users/me", headers=owner.headers)).status_code == 401
    assert (await person.password()).status_code == 200
    mail = (await outbox())[-1]
    assert NOTICES_OF_FEATURES["factors_reset"].heading in mail.subject
    assert "From: an unknown IP address, an unknown browser" in mail.text_body


async def test_other_users_cannot_see_or_reset_factors(client, owner, make_user, login):
    eve = login(await make_user("eve@example.com", is_verified=True))
    path = f"/users/{owner.user.id}/factors"

    answers = [await client.get(path, headers=eve), await client.delete(path, headers=eve)]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_the_export_has_no_recovery_code(client, owner):
    export = (await client.get("/users/me/export", headers=owner.headers)).text

    assert "recovery_codes" in export
    assert "code_hash" not in export


# Your own tests go below; template updates never touch them.
