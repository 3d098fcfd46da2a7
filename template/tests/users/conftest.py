"""Fixtures of the users tests: links from mails, cheap hashes, expired tokens, a second application."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import argon2
import httpx
import pytest
import pytest_asyncio
from hawkapi_mail import EmailMessage, TemplateRenderer
from hawkapi_sqlalchemy import Database
from sqlalchemy import event, func, select

from app.mail import OutboxMessage
from app.main import create_app
from app.settings import Settings
from app.users import User, UserManager, UserTokens, passwords
from app.web import App

type Outbox = Callable[[], Awaitable[list[EmailMessage]]]


@pytest.fixture
def mailed_token(outbox: Outbox) -> Callable[[], Awaitable[str]]:
    """`await mailed_token()`: the token in the link of the newest mail, found as a reader would."""

    async def token() -> str:
        newest = (await outbox())[-1]
        found = re.search(r"https?://\S+/(\S+)", newest.text_body)
        assert found is not None
        return found[1]

    return token


@pytest.fixture
def stored(db: Database) -> Callable[[User], Awaitable[User | None]]:
    """`await stored(user)`: the account as it is in the database now, or None."""

    async def read(user: User) -> User | None:
        async with db.session(commit=False) as session:
            return await session.get(User, user.id)

    return read


@pytest.fixture
def accounts(db: Database) -> Callable[[], Awaitable[list[User]]]:
    """`await accounts()`: every account there is."""

    async def read() -> list[User]:
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(User).order_by(User.email)))

    return read


@pytest.fixture
def change(db: Database) -> Callable[..., Awaitable[None]]:
    """`await change(user, is_active=False)`: write columns past the manager and its rules."""

    async def write(user: User, **columns: object) -> None:
        async with db.session() as session:
            row = await session.get_one(User, user.id)
            for name, value in columns.items():
                setattr(row, name, value)

    return write


@pytest.fixture
def expired_tokens(manager: UserManager) -> UserTokens:
    """Issues what the application would have issued some time ago: right in all but its age."""
    ago = replace(manager.tokens.config, verify_ttl_seconds=-1, reset_ttl_seconds=-1, access_ttl_seconds=-1)
    return UserTokens(ago)


_quick = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def quick_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with next to no work, for tests that are about something else."""
    monkeypatch.setattr(passwords, "hash_password", _quick.hash)


@pytest.fixture
def hash_calls(quick_hashing: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the hash operations done so far. Equal work is shown by counting, not by a clock."""
    calls: list[str] = []

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(getattr(function, "__name__", "?"))
            return function(*arguments)

        return call

    monkeypatch.setattr(passwords, "hash_password", counted(passwords.hash_password))
    monkeypatch.setattr(passwords, "verify_password", counted(passwords.verify_password))
    return calls


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the mail templates rendered so far."""
    names: list[str] = []
    render = TemplateRenderer.render_async

    async def counted(self: TemplateRenderer, template: str, /, **context: object) -> str:
        names.append(template)
        return await render(self, template, **context)

    monkeypatch.setattr(TemplateRenderer, "render_async", counted)
    return names


@pytest.fixture
def outbox_rows(db: Database) -> Callable[[], Awaitable[int]]:
    """`await outbox_rows()`: how many rows the outbox has, those to be thrown away included."""

    async def count() -> int:
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(OutboxMessage)) or 0

    return count


@pytest.fixture
def statements(app: App) -> Iterator[list[str]]:
    """The SQL statements sent so far, each as its first word."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement.split()[0])

    engine = app.state.db.get().engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


type OtherClient = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest_asyncio.fixture(loop_scope="session")
async def other_client(app: App, settings: Settings) -> AsyncIterator[OtherClient]:
    """`await other_client(users_prefix="/accounts")`: a client of an application with other settings.

    It works on the same database, so `outbox`, `stored` and the others see what it does.
    """
    async with AsyncExitStack() as stack:

        async def build(**changes: object) -> httpx.AsyncClient:
            values = settings.model_dump(exclude_unset=True) | changes
            other = create_app(Settings(_env_file=None, **values))  # type: ignore[call-arg]
            stack.push_async_callback(other.state.db.dispose)
            stack.callback(other.state.users.hasher.close)
            return await stack.enter_async_context(connected(other))

        yield build


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def at_once() -> Callable[..., Awaitable[list[int]]]:
    """`await at_once(6, send)`: run `send()` six times concurrently; the statuses, sorted."""

    async def run(times: int, send: Callable[[], Awaitable[httpx.Response]]) -> list[int]:
        answers = await asyncio.gather(*(send() for _ in range(times)))
        return sorted(answer.status_code for answer in answers)

    return run
