"""Fixtures for authenticator app tests: an account with an app, in addition to the second factor fixtures."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from pyotp.totp import TOTP

from app import clock
from app.users import User
from tests.conftest import Login, MakeUser
from tests.second_factors.conftest import headings as headings
from tests.second_factors.conftest import make_person as make_person
from tests.second_factors.conftest import person as person
from tests.second_factors.conftest import wait as wait

STEP = timedelta(seconds=30)


@dataclass
class Owner:
    """An account with an authenticator app."""

    user: User
    app: TOTP
    recovery_codes: list[str]
    headers: dict[str, str]
    """The headers of the session that set up the app."""

    def code(self, steps: int = 0) -> str:
        """The code that the app shows now, or *steps* time steps later."""
        return self.app.at(clock.now() + steps * STEP)


type MakeOwner = Callable[..., Awaitable[Owner]]


@pytest.fixture
def make_owner(client: httpx.AsyncClient, make_user: MakeUser, login: Login, wait) -> MakeOwner:
    """`await make_owner()`: an account whose authenticator app has been confirmed with its first code."""

    async def make(email: str = "ada@example.com", **columns: object) -> Owner:
        user = await make_user(email, is_verified=True, **columns)
        headers = login(user)
        begun = await client.post("/users/me/totp", headers=headers)
        app = TOTP(begun.json()["secret"])
        code = {"code": app.at(clock.now())}
        confirmed = await client.post("/users/me/totp/confirm", json=code, headers=headers)
        assert confirmed.status_code == 200, confirmed.text
        wait(STEP)
        return Owner(user, app, confirmed.json()["recovery_codes"], headers)

    return make


@pytest.fixture
async def owner(make_owner: MakeOwner) -> Owner:
    return await make_owner()


# Your own fixtures go below; template updates never touch them.
