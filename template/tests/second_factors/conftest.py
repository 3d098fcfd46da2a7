"""Fixtures for the tests of second factors: a frozen clock, and an account with a factor.

The factor is a sample, so these tests do not depend on a real one. The tests of a real factor use `wait`,
`headings`, `make_person` and `person`, and define their own `owner`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest
from hawkapi_sqlalchemy import Database
from sqlalchemy import ColumnElement, Select, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.second_factors.factors import WRONG_CODE, Asked, Factors
from app.second_factors.routes import factors_of
from app.users import User, UserManager, UserSession
from app.web import App
from tests.conftest import PASSWORD, Login, MakeUser, make_client

START = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """`wait(timedelta(minutes=6))` advances the frozen clock."""
    now = START

    def forward(by: timedelta) -> None:
        nonlocal now
        now += by

    monkeypatch.setattr(clock, "now", lambda: now)
    return forward


class SampleFactor:
    """A factor that accepts each of its codes once."""

    refusal = WRONG_CODE

    def __init__(self, name: str = "sample", method: str = "code") -> None:
        self.name = name
        self.method = method
        self._codes: dict[str, set[str]] = {}
        self._numbers = count(1)

    def set_up(self, user: User) -> None:
        self._codes[user.id] = set()

    def new_code(self, user: User) -> str:
        code = f"{self.name} {next(self._numbers)}"
        self._codes[user.id].add(code)
        return code

    def number_of(self, user_id: str) -> ColumnElement[int]:
        return literal(int(user_id in self._codes))

    async def check(self, db: AsyncSession, user: User, answer: str, asked: Asked) -> bool:
        codes = self._codes.get(user.id, set())
        is_right = answer in codes
        codes.discard(answer)
        return is_right

    async def remove(self, db: AsyncSession, user: User, item: str | None = None) -> bool:
        return self._codes.pop(user.id, None) is not None


@pytest.fixture
def factors(manager: UserManager) -> Factors:
    return factors_of(manager)


@pytest.fixture
def sample(factors: Factors, monkeypatch: pytest.MonkeyPatch) -> SampleFactor:
    """The only factor that the application offers."""
    monkeypatch.setattr(factors, "_factors", {})
    sample = SampleFactor()
    factors.add(sample)
    return sample


def sessions_of(user: User) -> Select[UserSession]:
    """An account's active sessions, newest first."""
    alive = UserSession.user_id == user.id, UserSession.revoked_at.is_(None)
    return select(UserSession).where(*alive).order_by(UserSession.created_at.desc())


type SetUp = Callable[..., Awaitable[list[str] | None]]


@pytest.fixture
def set_up(db: Database, factors: Factors, sample: SampleFactor) -> SetUp:
    """`await set_up(user)` sets up a factor in the account's most recent session and returns the recovery
    codes."""

    async def add(user: User, factor: SampleFactor = sample) -> list[str] | None:
        factor.set_up(user)
        async with db.session() as session:
            owner = await session.get_one(User, user.id)
            newest = (await session.scalars(sessions_of(user))).first()
            assert newest is not None
            return await factors.added(session, owner, factor, session=newest)

    return add


type Remove = Callable[..., Awaitable[None]]


@pytest.fixture
def remove(db: Database, factors: Factors, sample: SampleFactor) -> Remove:
    """`await remove(user)` removes a factor in the account's most recent session."""

    async def take(user: User, factor: SampleFactor = sample) -> None:
        async with db.session() as session:
            owner = await session.get_one(User, user.id)
            newest = (await session.scalars(sessions_of(user))).first()
            assert newest is not None
            await factors.remove(session, owner, factor, session=newest)

    return take


@dataclass
class Owner:
    """An account with a factor."""

    user: User
    factor: SampleFactor
    recovery_codes: list[str]
    headers: dict[str, str]
    """The headers of the session that set up the factor."""

    def code(self) -> str:
        """A correct code."""
        return self.factor.new_code(self.user)


type MakeOwner = Callable[..., Awaitable[Owner]]


@pytest.fixture
def make_owner(make_user: MakeUser, login: Login, set_up: SetUp, sample: SampleFactor) -> MakeOwner:
    """`await make_owner()`: an account with a factor."""

    async def make(email: str = "ada@example.com", **columns: object) -> Owner:
        user = await make_user(email, is_verified=True, **columns)
        headers = login(user)
        recovery_codes = await set_up(user)
        assert recovery_codes is not None
        return Owner(user, sample, recovery_codes, headers)

    return make


@pytest.fixture
def headings(outbox):
    """`await headings()`: the headings of the e-mailed notices, oldest first."""

    async def read() -> list[str]:
        return [mail.subject.partition(": ")[2] for mail in await outbox()]

    return read


@pytest.fixture
async def owner(make_owner: MakeOwner) -> Owner:
    return await make_owner()


class Person:
    """A browser or other client, with its own cookies."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def password(
        self, email: str = "ada@example.com", kind: str = "", **body: object
    ) -> httpx.Response:
        """The response to the correct password. *kind* is `/cookie`, or empty for a bearer session."""
        body = {"email": email, "password": PASSWORD} | body
        return await self.client.post(f"/users/login{kind}", json=body)

    async def answer(self, ticket: str, kind: str = "", **answer: object) -> httpx.Response:
        """The response to a second factor sent with *ticket*."""
        body = {"ticket": ticket} | answer
        return await self.client.post(f"/users/login/second-factor{kind}", json=body)

    async def ticket(self, kind: str = "") -> str:
        return (await self.password(kind=kind)).json()["ticket"]


@pytest.fixture
async def make_person(app: App):
    """`make_person()`: a new browser. It uses HTTPS, because browsers send the cookies only over HTTPS."""

    def make(agent: str = "a browser") -> Person:
        client = make_client(app, headers={"User-Agent": agent, "Sec-Fetch-Site": "same-origin"})
        client.base_url = httpx.URL("https://test")
        return Person(client)

    return make


@pytest.fixture
def person(make_person) -> Person:
    return make_person()


# Your own fixtures go below; template updates never touch them.
