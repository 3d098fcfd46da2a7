"""Fixtures for the tests of login by e-mailed code: a frozen clock, and people with their browsers."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, literal, select

from app import clock
from app.users import User, UserSession
from app.web import App
from tests.conftest import MakeUser, Outbox, make_client
from tests.users.conftest import change as change
from tests.users.conftest import events as events
from tests.users.conftest import other_app as other_app
from tests.users.conftest import other_client as other_client
from tests.users.conftest import outbox_rows as outbox_rows
from tests.users.conftest import rendered as rendered
from tests.users.conftest import statements as statements

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
EMAIL = "ada@example.com"


@pytest.fixture(autouse=True)
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """`wait(timedelta(minutes=1))` advances the frozen clock."""
    now = START

    def forward(by: timedelta) -> None:
        nonlocal now
        now += by

    monkeypatch.setattr(clock, "now", lambda: now)
    return forward


class Person:
    """A browser or other client, with its own cookies."""

    def __init__(self, client: httpx.AsyncClient, outbox: Outbox) -> None:
        self.client = client
        self._outbox = outbox

    async def ask(self, email: str = EMAIL) -> str:
        """Requests a code and returns the request's id."""
        answer = await self.client.post("/users/login/email", json={"email": email})
        assert answer.status_code == 202, answer.text
        return answer.json()["request_id"]

    async def code(self) -> str:
        """The code from the most recent e-mail that contains one."""
        return [code for mail in await self._outbox() for code in codes_in(mail.text_body)][-1]

    async def enter(self, request_id: str, code: str, kind: str = "", **body: object) -> httpx.Response:
        """The response to entering *code*. *kind* is `/cookie`, or empty for a bearer session."""
        return await self.client.post(f"/users/login/email/{request_id}{kind}", json={"code": code} | body)

    async def log_in(self, kind: str = "", **body: object) -> httpx.Response:
        """Requests a code and enters it."""
        request_id = await self.ask()
        return await self.enter(request_id, await self.code(), kind, **body)


def codes_in(text: str) -> list[str]:
    """The codes in the text of an e-mail."""
    return re.findall(r"^[A-Z]{4}-[A-Z]{4}$", text, re.MULTILINE)


type MakePerson = Callable[..., Person]


@pytest.fixture
def make_person(app: App, outbox: Outbox) -> MakePerson:
    """`make_person()`: a new browser, or a client without cookies if *keeps_cookies* is false."""

    def make(agent: str = "a browser", *, keeps_cookies: bool = True) -> Person:
        client = make_client(app, headers={"User-Agent": agent, "Sec-Fetch-Site": "same-origin"})
        # This application's cookies are sent only over HTTPS.
        client.base_url = httpx.URL("https://test" if keeps_cookies else "http://test")
        return Person(client, outbox)

    return make


@pytest.fixture
def person(make_person: MakePerson) -> Person:
    return make_person()


@pytest.fixture
async def ada(make_user: MakeUser) -> User:
    """An account with a verified address."""
    return await make_user(EMAIL, is_verified=True)


@pytest.fixture
def number_of_sessions(db):
    async def count():
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(UserSession))

    return count


class OneFactor:
    """A fake feature that provides second factors. If *has_one* is true, every account has one."""

    def __init__(self, *, has_one: bool) -> None:
        self._has_one = has_one

    def number_of(self, user_id):
        return literal(int(self._has_one))

    async def methods_of(self, db, user):
        return ["code"] if self._has_one else []

    async def begin(self, db, user, *, kind, remember):
        return f"ticket-{kind}-{remember}", "key"

    async def reset(self, db, user):
        return []


# Your own fixtures go below; template updates never touch them.
