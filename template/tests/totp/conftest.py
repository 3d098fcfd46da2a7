"""Fixtures for the tests of second factors: a clock that stands still, and an account with an authenticator
app."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pyotp.totp import TOTP

from app import clock
from app.users import User
from app.web import App
from tests.conftest import PASSWORD, Login, MakeUser, make_client

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """`wait(STEP)`: the clock stands still except for this."""
    now = START

    def forward(by: timedelta) -> None:
        nonlocal now
        now += by

    monkeypatch.setattr(clock, "now", lambda: now)
    return forward


@dataclass
class Owner:
    """An account with an authenticator app."""

    user: User
    app: TOTP
    recovery_codes: list[str]
    headers: dict[str, str]
    """Of the session that set the app up."""

    def code(self, steps: int = 0) -> str:
        """The code that the app shows now, or *steps* later."""
        return self.app.at(clock.now() + steps * STEP)


type MakeOwner = Callable[..., Awaitable[Owner]]


@pytest.fixture
def make_owner(client: httpx.AsyncClient, make_user: MakeUser, login: Login, wait) -> MakeOwner:
    """`await make_owner()`: an account with an authenticator app, whose first code is used up."""

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
def headings(outbox):
    """`await headings()`: what the notices say that were mailed, oldest first."""

    async def read() -> list[str]:
        return [mail.subject.partition(": ")[2] for mail in await outbox()]

    return read


@pytest.fixture
async def owner(make_owner: MakeOwner) -> Owner:
    return await make_owner()


class Person:
    """A browser or another client, with its own cookies."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def password(
        self, email: str = "ada@example.com", kind: str = "", **body: object
    ) -> httpx.Response:
        """The response to the right password. *kind*: `/cookie`, or empty for a bearer session."""
        body = {"email": email, "password": PASSWORD} | body
        return await self.client.post(f"/users/login{kind}", json=body)

    async def answer(self, ticket: str, kind: str = "", **answer: str) -> httpx.Response:
        """The response to an answer with *ticket*."""
        body = {"ticket": ticket} | answer
        return await self.client.post(f"/users/login/second-factor{kind}", json=body)

    async def ticket(self, kind: str = "") -> str:
        return (await self.password(kind=kind)).json()["ticket"]


@pytest.fixture
async def make_person(app: App):
    """`make_person()`: another browser, over HTTPS, since browsers send the cookies only then."""

    def make(agent: str = "a browser") -> Person:
        client = make_client(app, headers={"User-Agent": agent, "Sec-Fetch-Site": "same-origin"})
        client.base_url = httpx.URL("https://test")
        return Person(client)

    return make


@pytest.fixture
def person(make_person) -> Person:
    return make_person()
