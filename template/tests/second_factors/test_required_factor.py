"""Checklist 33: REQUIRE_SECOND_FACTOR. Users without a factor can only set one up."""

import pytest

from app.second_factors.factors import LastFactor
from tests.conftest import PASSWORD, lifespan

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])
NEEDED = (403, "second_factor_setup_required")


@pytest.fixture
def require(manager):
    """`require("all")` sets REQUIRE_SECOND_FACTOR."""

    def change(whom):
        manager.require_second_factor = whom

    return change


@pytest.fixture
def enter(person):
    """`await enter(email, kind)` logs in with only the password and returns headers for later requests."""

    async def log_in(email="ada@example.com", kind=""):
        entered = (await person.password(email, kind)).json()
        return {} if kind else {"Authorization": f"Bearer {entered['access_token']}"}

    return log_in


async def status(person, path, headers, method="GET"):
    answer = await person.client.request(method, path, headers=headers)
    body = answer.json() if answer.content else {}
    return answer.status_code, body.get("code") if isinstance(body, dict) else None


@KINDS
async def test_a_session_without_a_factor_can_only_set_one_up(
    make_user, require, enter, person, set_up, kind
):
    """Checklist 33."""
    ada = await make_user(is_verified=True)
    require("all")
    headers = await enter(kind=kind)

    before = [await status(person, path, headers) for path in ("/users/me", "/users/me/sessions")]
    factors = await status(person, "/users/me/factors", headers)
    await set_up(ada)
    after = await status(person, "/users/me", headers)

    assert before == [NEEDED, NEEDED]
    assert factors[0] == after[0] == 200


async def test_a_new_user_who_is_logged_in_keeps_the_password(require, enter, person, outbox):
    """Checklist 29. Even a session without a second factor proves that its user created the account."""
    require("all")
    await person.client.post("/users/register", json={"email": "ada@example.com", "password": PASSWORD})
    token = (await outbox())[-1].text_body.partition("/users/verify/")[2].split()[0]
    headers = await enter()
    person.client.cookies.clear()

    page = await person.client.get(f"/users/verify/{token}", headers=headers)
    verified = await person.client.post("/users/verify", json={"token": token}, headers=headers)

    assert page.status_code == verified.status_code == 200
    assert 'type="password"' not in page.text
    assert await status(person, "/users/me/factors", headers) == (200, None)
    assert "Authorization" in await enter()


@KINDS
async def test_confirming_the_password_does_not_lift_the_restriction(make_user, require, enter, person, kind):
    """Checklist 33. A confirmation replaces the cookie with one for a new session."""
    await make_user(is_verified=True)
    require("all")
    headers = await enter(kind=kind)

    confirmed = await person.client.post(
        "/users/me/confirm", json={"password": "correct horse battery"}, headers=headers
    )

    assert confirmed.status_code == 204
    assert await status(person, "/users/me", headers) == NEEDED


async def test_refreshing_does_not_lift_the_restriction(make_user, require, person):
    """Checklist 33."""
    await make_user(is_verified=True)
    require("all")
    tokens = (await person.password()).json()

    refreshed = await person.client.post(
        "/users/token/refresh", json={"refresh_token": tokens["refresh_token"]}
    )

    headers = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
    assert await status(person, "/users/me", headers) == NEEDED


async def test_a_restricted_session_can_log_out(make_user, require, enter, person):
    await make_user(is_verified=True)
    require("all")
    headers = await enter()

    assert (await person.client.post("/users/logout", headers=headers)).status_code == 204
    assert await status(person, "/users/me", headers) == (401, "session_ended")


async def test_an_account_with_a_factor_is_not_restricted(owner, require, person):
    require("all")
    entered = await person.answer(await person.ticket(), code=owner.code())

    headers = {"Authorization": f"Bearer {entered.json()['access_token']}"}
    assert (await status(person, "/users/me", headers))[0] == 200


async def test_a_factor_can_be_required_of_superusers_only(make_user, require, enter, person):
    """Checklist 33."""
    await make_user("root@example.com", is_superuser=True)
    await make_user("eve@example.com")
    require("admins")

    answers = [
        await status(person, "/users/me", await enter(email))
        for email in ("root@example.com", "eve@example.com")
    ]

    assert [answer[0] for answer in answers] == [403, 200]


async def test_a_former_superuser_needs_no_factor(make_user, require, enter, person, db, manager):
    """The session was started without a factor, but its user no longer needs one."""
    await make_user("root@example.com", is_superuser=True)
    ada = await make_user(is_superuser=True)
    require("admins")
    headers = await enter()
    before = await status(person, "/users/me", headers)
    async with db.session() as session:
        await manager.update(session, await manager.get_by_id(session, ada.id), is_superuser=False)

    after = await status(person, "/users/me", headers)

    assert (before, after[0]) == (NEEDED, 200)


async def test_a_new_superuser_must_log_in_again(make_user, login, require, client, db, manager):
    """Checklist 33. The existing session was started without a factor."""
    await make_user("root@example.com", is_superuser=True)
    ada = await make_user()
    require("admins")
    headers = login(ada)
    async with db.session() as session:
        await manager.update(session, await manager.get_by_id(session, ada.id), is_superuser=True)

    assert (await client.get("/users/me", headers=headers)).status_code == 401


async def test_the_last_factor_cannot_be_removed(owner, require, remove):
    """Checklist 33."""
    require("all")

    with pytest.raises(LastFactor):
        await remove(owner.user)


async def test_the_application_does_not_start_without_a_second_factor_feature(build_app, caplog):
    app = build_app(require_second_factor="all")
    app.state.users.second_factors = None

    with pytest.raises(RuntimeError, match="REQUIRE_SECOND_FACTOR"):
        async with lifespan(app):
            pass


# Your own tests go below; template updates never touch them.
