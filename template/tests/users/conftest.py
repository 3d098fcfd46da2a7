"""Fixtures for the users tests: e-mailed links, expired tokens and a second application."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hawkapi_mail import EmailMessage, TemplateRenderer
from hawkapi_sqlalchemy import Database
from sqlalchemy import Column, Table, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.database import Base, session_of
from app.limits import Rate
from app.mail import OutboxMessage, enqueue
from app.main import create_app
from app.settings import Settings
from app.users import TokenError, User, UserManager, UserSession, UserTokens
from app.users.audit import AuditEvent
from app.users.exceptions import OwnerRequired
from app.users.passwords import hashing
from app.users.routes import link_pages
from app.users.sessions import IssuedSession
from app.web import App
from tests.conftest import change_settings


@pytest.fixture(autouse=True)
def without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the forms behind e-mailed links show their own result pages, as in an application without
    `app/pages`. The pages in `app/pages` are tested in `tests/pages/test_flows.py`.
    """
    monkeypatch.setattr(link_pages, "shown_once", lambda request, message: None)  # type: ignore[misc]


def runs_out_first(*cells: str) -> Rate:
    """The rate that allows the smallest burst. *cells* are the rates from one row of `rate_limits.py`."""
    rates = [Rate.parse(each) for cell in cells for each in cell.split(",")]
    return min(rates, key=lambda rate: (rate.count, -rate.interval))


type Outbox = Callable[[], Awaitable[list[EmailMessage]]]


@pytest.fixture
def mailed_token(outbox: Outbox) -> Callable[[], Awaitable[str]]:
    """`await mailed_token()`: the token from the link in the most recent e-mail."""

    async def token() -> str:
        newest = (await outbox())[-1]
        found = re.search(r"https?://\S+/(\S+)", newest.text_body)
        assert found is not None
        return found[1]

    return token


type OpenLink = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def open_link(client: httpx.AsyncClient) -> OpenLink:
    """`await open_link(url)` opens an e-mailed link and follows the redirect that hides its token."""

    async def opened(address: str, method: str = "GET") -> httpx.Response:
        answer = await client.request(method, address)
        if answer.status_code != 303:
            return answer
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return await client.request(method, answer.headers["location"], headers={"Cookie": cookie})

    return opened


@pytest.fixture
def stored(db: Database) -> Callable[[User], Awaitable[User | None]]:
    """`await stored(user)`: the account as it is now in the database, or None."""

    async def read(user: User) -> User | None:
        async with db.session(commit=False) as session:
            return await session.get(User, user.id)

    return read


@pytest.fixture
def accounts(db: Database) -> Callable[[], Awaitable[list[User]]]:
    """`await accounts()`: all accounts."""

    async def read() -> list[User]:
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(User).order_by(User.email)))

    return read


@pytest.fixture
def change(db: Database) -> Callable[..., Awaitable[None]]:
    """`await change(user, is_active=False)` writes columns directly, bypassing the manager's rules."""

    async def write(user: User, **columns: object) -> None:
        async with db.session() as session:
            row = await session.get_one(User, user.id)
            for name, value in columns.items():
                setattr(row, name, value)

    return write


type BeginSession = Callable[..., Awaitable[IssuedSession]]


@pytest.fixture
def begin_session(db: Database, manager: UserManager) -> BeginSession:
    """`await begin_session(user, kind="cookie")` starts a session for *user* and returns it with its
    token."""

    async def begin(user: User, **options: Any) -> IssuedSession:
        async with db.session() as session:
            return await manager.sessions.issue(session, user, **options)

    return begin


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """`set_clock(moment)` freezes the clock at that time."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    return set_to


@pytest.fixture
def events(db: Database) -> Callable[[], Awaitable[list[AuditEvent]]]:
    """`await events()`: the audit log, oldest first."""

    async def read() -> list[AuditEvent]:
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(AuditEvent).order_by(AuditEvent.id)))

    return read


@pytest.fixture
def expired_tokens(manager: UserManager) -> UserTokens:
    """Creates tokens that are valid except for their age."""
    ttls = ("verify", "reset", "email_change", "invitation", "access")
    return UserTokens(replace(manager.tokens.config, **{f"{each}_ttl_seconds": -1 for each in ttls}))


@pytest.fixture
def hash_calls(quick_hashing: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the hash operations so far. Equal work is proved by counting, not timing."""
    calls: list[str] = []

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(getattr(function, "__name__", "?"))
            return function(*arguments)

        return call

    monkeypatch.setattr(hashing, "hash_password", counted(hashing.hash_password))
    monkeypatch.setattr(hashing, "verify_password", counted(hashing.verify_password))
    return calls


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the e-mail templates rendered so far."""
    names: list[str] = []
    render = TemplateRenderer.render_async

    async def counted(self: TemplateRenderer, template: str, /, **context: object) -> str:
        names.append(template)
        return await render(self, template, **context)

    monkeypatch.setattr(TemplateRenderer, "render_async", counted)
    return names


@pytest.fixture
def outbox_rows(db: Database) -> Callable[[], Awaitable[int]]:
    """`await outbox_rows()`: the number of rows in the outbox, including dummy e-mails."""

    async def count() -> int:
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(OutboxMessage)) or 0

    return count


@pytest.fixture
def statements(app: App) -> Iterator[list[str]]:
    """The first word of each SQL statement sent so far."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement.split()[0])

    engines = [each.engine.sync_engine for each in app.state.db.engines.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


type OtherClient = Callable[..., Awaitable[httpx.AsyncClient]]


type OtherApp = Callable[..., App]


@pytest.fixture(scope="session")
def other_app(settings: Settings, migrated: str) -> Iterator[OtherApp]:
    """`other_app(registration="private")`: an application, shared by all tests, with different settings."""
    made: dict[str, App] = {}

    def build(**changes: object) -> App:
        key = repr(sorted(changes.items()))
        if key not in made:
            made[key] = create_app(change_settings(settings, **changes))
        return made[key]

    yield build
    for app in made.values():
        app.state.users.hasher.close()


@pytest.fixture
async def other_client(app: App, other_app: OtherApp) -> AsyncIterator[OtherClient]:
    """`await other_client(users_prefix="/accounts")`: a client of an application with different settings.

    The application uses the same database, so `outbox`, `stored` and the other fixtures see its changes.
    """
    async with AsyncExitStack() as stack:

        async def build(**changes: object) -> httpx.AsyncClient:
            other = other_app(**changes)
            # Idle connections from many applications would exhaust the server's connection limit.
            stack.push_async_callback(other.state.db.dispose)
            if other.state.settings.redis_url is None:
                stack.push_async_callback(other.state.limiter.clear)
            return await stack.enter_async_context(connected(other))

        yield build


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def at_once() -> Callable[..., Awaitable[list[int]]]:
    """`await at_once(6, send)` runs `send()` six times concurrently and returns the sorted statuses."""

    async def run(times: int, send: Callable[[], Awaitable[httpx.Response]]) -> list[int]:
        answers = await asyncio.gather(*(send() for _ in range(times)))
        return sorted(answer.status_code for answer in answers)

    return run


@pytest.fixture
def headers_of(manager: UserManager) -> Callable[[IssuedSession], dict[str, str]]:
    """`headers=headers_of(issued)`: the session's cookie or access token, as its client sends it."""

    def headers(issued: IssuedSession) -> dict[str, str]:
        if issued.session.kind == "cookie":
            return {"Cookie": f"__Host-session={issued.token}", "Sec-Fetch-Site": "same-origin"}
        token = manager.tokens.issue_access(issued.user.id, session_id=issued.session.id)
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
def session_rows(db: Database) -> Callable[[], Awaitable[list[UserSession]]]:
    """`await session_rows()`: all sessions, including ended ones, oldest first."""

    async def read() -> list[UserSession]:
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(UserSession).order_by(UserSession.created_at)))

    return read


@pytest.fixture
def change_session(db: Database) -> Callable[..., Awaitable[None]]:
    """`await change_session(issued.session, kind="cookie")` writes a session's columns directly."""

    async def write(row: UserSession, **columns: object) -> None:
        async with db.session() as session:
            stored = await session.get_one(UserSession, row.id)
            for name, value in columns.items():
                setattr(stored, name, value)

    return write


@pytest.fixture
def session_cookie() -> Callable[[httpx.Response], str]:
    """`session_cookie(answer)`: the session's Set-Cookie header in *answer*. There must be exactly one."""

    def find(answer: httpx.Response) -> str:
        cookies = answer.headers.get_list("set-cookie")
        [cookie] = [each for each in cookies if each.startswith(("__Host-session=", "session="))]
        return cookie

    return find


@pytest.fixture
def browser_of_answer() -> Callable[[httpx.Response], dict[str, str]]:
    """`headers=browser_of_answer(answer)`: the device cookie of the browser that received *answer*."""

    def headers(answer: httpx.Response) -> dict[str, str]:
        cookies = answer.headers.get_list("set-cookie")
        [cookie] = [each for each in cookies if each.startswith("__Host-device=")]
        return {"Cookie": cookie.partition(";")[0]}

    return headers


@pytest.fixture
def headers_of_answer(
    session_cookie: Callable[[httpx.Response], str],
) -> Callable[[httpx.Response], dict[str, str]]:
    """`headers=headers_of_answer(answer)`: the cookie that *answer* sets, as the browser sends it back."""

    def headers(answer: httpx.Response) -> dict[str, str]:
        cookie = session_cookie(answer)
        return {"Cookie": cookie.partition(";")[0], "Sec-Fetch-Site": "same-origin"}

    return headers


@pytest.fixture
async def root(make_user: Callable[..., Awaitable[User]]) -> User:
    """The superuser that `admin` is logged in as. The superuser's account is the oldest in each test."""
    return await make_user("root@example.com", is_superuser=True, created_at=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.fixture
async def admin(
    app: App, manager: UserManager, root: User, begin_session: BeginSession
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is logged in as a superuser."""
    begun = await begin_session(root)
    async with connected(app) as client:
        client.headers["Authorization"] = (
            f"Bearer {manager.tokens.issue_access(root.id, session_id=begun.session.id)}"
        )
        yield client


@pytest.fixture
def logins(
    client: httpx.AsyncClient, manager: UserManager, begin_session: BeginSession
) -> Callable[[User], Awaitable[Callable[[], Awaitable[list[int]]]]]:
    """`try_all = await logins(user)` logs in. `await try_all()` returns the statuses of requests with the
    access token, the cookie and the refresh token.
    """

    async def begin(user: User) -> Callable[[], Awaitable[list[int]]]:
        bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")
        access = manager.tokens.issue_access(user.id, session_id=bearer.session.id)
        pair = {"refresh_token": bearer.token}

        async def try_all() -> list[int]:
            answers = [
                await client.get("/users/me", headers={"Authorization": f"Bearer {access}"}),
                await client.get("/users/me", headers={"Cookie": f"__Host-session={cookie.token}"}),
                await client.post("/users/token/refresh", json=pair),
            ]
            return [answer.status_code for answer in answers]

        return try_all

    return begin


@pytest.fixture
def every_token(
    client: httpx.AsyncClient,
    db: Database,
    manager: UserManager,
    begin_session: BeginSession,
    change: Callable[..., Awaitable[None]],
) -> Callable[[User], Awaitable[Callable[[], Awaitable[set[str]]]]]:
    """`good = await every_token(user)` issues a token of each kind, and an invitation for another address.

    `await good()` returns the kinds that still work.
    """

    async def issue(user: User) -> Callable[[], Awaitable[set[str]]]:
        await change(user, pending_email="new@example.com")
        bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")
        access = manager.tokens.issue_access(user.id, session_id=bearer.session.id)
        pair = {"refresh_token": bearer.token}
        verify, reset = manager.verify_token(user), manager.reset_token(user)
        email_change = manager.email_change_token(user, "new@example.com")
        async with db.session() as session:
            _, invitation = await manager.invitations.make(session, "guest@example.com", invited_by="cli")

        async def refresh() -> bool:
            answer = await client.post("/users/token/refresh", json=pair)
            if answer.status_code == 200:
                pair["refresh_token"] = answer.json()["refresh_token"]
            return answer.status_code == 200

        async def admits(**headers: str) -> bool:
            return (await client.get("/users/me", headers=headers)).status_code == 200

        async def is_good(check: Callable[..., Awaitable[object]], token: str) -> bool:
            async with db.session(commit=False) as session:
                try:
                    await check(session, token=token)
                except OwnerRequired:
                    # The e-mail change token is valid, but the owner must also log in or enter the password.
                    return True
                except TokenError:
                    return False
                return True

        async def good() -> set[str]:
            found = {
                "access": await admits(Authorization=f"Bearer {access}"),
                "refresh": await refresh(),
                "cookie": await admits(Cookie=f"__Host-session={cookie.token}"),
                "verify": await is_good(manager.check_verify_token, verify),
                "reset": await is_good(manager.check_reset_token, reset),
                "email change": await is_good(manager.change_email, email_change),
                "invitation": await is_good(manager.invitations.of_token, invitation),
            }
            return {kind for kind, is_alive in found.items() if is_alive}

        return good

    return issue


@dataclass(frozen=True)
class Visit:
    """A session, and the headers that its client sends."""

    issued: IssuedSession
    headers: dict[str, str]


@pytest.fixture
def visit(begin_session: BeginSession, manager: UserManager) -> Callable[..., Awaitable[Visit]]:
    """`await visit(user, "cookie")` starts a session for *user*. The result contains its `headers`."""

    async def begin(user: User, kind: str = "bearer") -> Visit:
        issued = await begin_session(user, kind=kind)
        access = manager.tokens.issue_access(user.id, session_id=issued.session.id)
        headers = {
            "bearer": {"Authorization": f"Bearer {access}"},
            "cookie": {"Cookie": f"__Host-session={issued.token}", "Origin": "http://test"},
        }
        return Visit(issued, headers[kind])

    return begin


type CreateTable = Callable[..., Awaitable[Table]]


@pytest.fixture
async def create_table(app: App) -> AsyncIterator[CreateTable]:
    """`await create_table("orders", Column(...))` creates a custom table, which is dropped after the test."""
    engine, tables = app.state.db.get().engine, []

    async def create(name: str, *columns: Column[Any]) -> Table:
        tables.append(Table(name, Base.metadata, *columns))
        async with engine.begin() as connection:
            await connection.run_sync(tables[-1].create)
        return tables[-1]

    yield create
    async with engine.begin() as connection:
        for table in tables:
            await connection.run_sync(table.drop)
            Base.metadata.remove(table)


@pytest.fixture
def do_task(app: App) -> Callable[[str], Awaitable[None]]:
    """`await do_task("clean")` runs one of the worker's periodic tasks once."""

    async def do(name: str) -> None:
        (task,) = [each for each in app.state.tasks if each.name == name]
        await task.do()

    return do


@pytest.fixture
def meanwhile(manager: UserManager, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`meanwhile(act)` makes `act()` run while the next password is being hashed or verified."""

    def arrange(act: Callable[[], Awaitable[None]]) -> None:
        hash_, verify = manager.hasher.hash, manager.hasher.verify
        pending = [act]

        async def then_hash(password: str) -> str:
            await pending.pop()() if pending else None
            return await hash_(password)

        async def then_verify(password: str, hashed: str | None) -> bool:
            await pending.pop()() if pending else None
            return await verify(password, hashed)

        monkeypatch.setattr(manager.hasher, "hash", then_hash)
        monkeypatch.setattr(manager.hasher, "verify", then_verify)

    return arrange


@pytest.fixture
def overtake_refresh(manager: UserManager, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`overtake_refresh(act)` makes `act()` run between the read and the write of the next refresh."""

    def arrange(act: Callable[[], Awaitable[object]]) -> None:
        by_id = manager.sessions.by_id

        async def read_then_act(session: AsyncSession, session_id: str) -> tuple[UserSession, User]:
            monkeypatch.setattr(manager.sessions, "by_id", by_id)
            found = await by_id(session, session_id)
            await session.commit()
            await act()
            return found

        monkeypatch.setattr(manager.sessions, "by_id", read_then_act)

    return arrange


@pytest.fixture
def status_of(client: httpx.AsyncClient) -> Callable[[dict[str, str]], Awaitable[int]]:
    """`await status_of(headers)`: the status of GET /users/me."""

    async def ask(headers: dict[str, str]) -> int:
        return (await client.get("/users/me", headers=headers)).status_code

    return ask


@pytest.fixture
def email_link(
    manager: UserManager, change: Callable[..., Awaitable[None]]
) -> Callable[[User], Awaitable[str]]:
    """`await email_link(user)`: the path of the link that makes new@example.com the account's address."""

    async def make(user: User) -> str:
        await change(user, pending_email="new@example.com")
        return f"/users/email-change/{manager.email_change_token(user, 'new@example.com')}"

    return make


class Refused(Exception):
    """Raised by the hooks in these tests."""


@pytest.fixture
def fail(manager: UserManager) -> Callable[..., None]:
    """`fail("on_after_login")` makes that hook write a row, send an e-mail and raise an exception."""

    def replace(name: str, error: type[Exception] | Exception = Refused) -> None:
        async def hook(user: User, *rest: object) -> None:
            session = session_of(user)
            session.add(User(email="written-by-a-hook@example.com", hashed_password="x"))
            enqueue(session, EmailMessage.build(subject="from a hook", to=user.email))
            await session.flush()
            raise error

        setattr(manager, name, hook)

    return replace


# Your own fixtures go below; template updates never touch them.
