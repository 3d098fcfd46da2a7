"""A session that ends while the body of its request arrives must not change second factors."""

import pytest
from pyotp.totp import TOTP

from app import clock
from tests.users.conftest import begin_session as begin_session
from tests.users.conftest import headers_of as headers_of
from tests.users.conftest import session_rows as session_rows
from tests.users.test_security_slow_requests import slowly as slowly


@pytest.fixture
def reset(client, manager):
    """`await reset(user)`: the owner sets a new password, which ends every session."""

    async def send(user):
        token = manager.reset_token(user)
        done = await client.post(f"/users/password-reset/{token}", json={"password": "quiet harbour stone"})
        assert done.status_code == 200

    return send


async def test_an_ended_session_cannot_confirm_an_app(client, make_user, login, slowly, reset, person):
    """Checklist 31: the owner's next login would require the thief's app."""
    user = await make_user(is_verified=True)
    headers = login(user)
    secret = (await client.post("/users/me/totp", headers=headers)).json()["secret"]
    code = {"code": TOTP(secret).at(clock.now())}

    status = await slowly("POST", "/users/me/totp/confirm", headers, code, lambda: reset(user))

    assert status == 401
    assert (await person.password(password="quiet harbour stone")).status_code == 200


@pytest.mark.parametrize("kind", ["bearer", "cookie"])
async def test_a_second_factor_does_not_renew_an_ended_session(
    client, make_owner, begin_session, headers_of, slowly, reset, session_rows, kind
):
    """Checklist 19: a correct code must not turn a session that the owner has ended into a new one."""
    owner = await make_owner()
    headers = headers_of(await begin_session(owner.user, kind=kind))
    before = len(await session_rows())

    status = await slowly(
        "POST",
        "/users/me/confirm/second-factor",
        headers,
        {"code": owner.code()},
        lambda: reset(owner.user),
    )

    assert status == 401
    assert len(await session_rows()) == before
