"""Fixtures for every test: one application with one real database, which is emptied after each test.

The database is a SQLite file in a temporary folder, or a temporary database on the PostgreSQL server named
by TEST_DATABASE_URL. One event loop serves the whole run; tests are plain `async def` functions.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import argon2
import httpx
import pytest
from alembic import command
from alembic.config import Config
from hawkapi_mail import EmailMessage
from hawkapi_sqlalchemy import Database
from pydantic import SecretStr
from sqlalchemy import NullPool, Select, Table, exists, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from app.database import Base
from app.mail import pending_messages
from app.main import create_app
from app.settings import Settings
from app.users import User, UserManager
from app.users.passwords import hashing
from app.web import App
from tests.log_guard import watching

# Your own imports go below; template updates never touch them.
# isort: split

PROJECT = Path(__file__).parent.parent
# Tests must not depend on environment variables set in the shell or on the CI machine.
for field in Settings.model_fields:
    os.environ.pop(field.upper(), None)

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": sha256(b"the secret of the tests").hexdigest(),
    "BASE_URL": "https://app.example.com",
    "MAIL_BACKEND": "smtp",
    "MAIL_SENDER": "app@example.com",
    "SMTP_HOST": "smtp.example.com",
    "SMTP_SECURITY": "starttls",
    # Your own production settings go below; template updates never touch them.
}
"""Environment variables for production. Add each of your own settings that production requires."""
_required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
OWN_REQUIRED = {name: PRODUCTION[name] for name in _required - {"SECRET_KEY"}}
"""Your own settings without a default, which are therefore also required outside production."""
os.environ |= OWN_REQUIRED


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also run the long tests, as CI does")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes seconds; runs with --all, or when it is named by its id")
    # Set here because pytest restores the previous level after each test.
    logging.getLogger().setLevel(logging.DEBUG)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all") or any("::" in argument for argument in config.args):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def log_guard() -> Iterator[None]:
    """Checks that the application logs no secrets during the tests (Checklist 39; ASVS 16.2.5)."""
    with watching():
        yield


PASSWORD = "correct horse battery"
"""The password of every user unless a test sets a different one."""


_quick = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
QUICK_HASH = _quick.hash(PASSWORD)
REAL_HASHING = {name: getattr(hashing, name) for name in ("hash_password", "needs_rehash", "DUMMY_HASH")}


@pytest.fixture(scope="session")
def password_hash() -> str:
    """The password hash of users created by `make_user`. It is cheap to verify."""
    return QUICK_HASH


@pytest.fixture(autouse=True)
def quick_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses Argon2 at minimal cost. Tests of hashing itself use `real_hashing`."""
    monkeypatch.setattr(hashing, "hash_password", _quick.hash)
    monkeypatch.setattr(hashing, "needs_rehash", _quick.check_needs_rehash)
    monkeypatch.setattr(hashing, "DUMMY_HASH", QUICK_HASH)


@pytest.fixture
def real_hashing(quick_hashing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses Argon2, as production does; each password takes about 80 ms."""
    for name, value in REAL_HASHING.items():
        monkeypatch.setattr(hashing, name, value)


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A new, empty database for this run."""
    server = os.environ.get("TEST_DATABASE_URL")
    if server is None:
        yield f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('database') / 'test.db'}"
        return
    url = make_url(server).set(drivername="postgresql+asyncpg", database=f"test_{uuid4().hex[:12]}")
    _run_on_server(server, f'CREATE DATABASE "{url.database}"')
    # This data does not need to survive a server crash, so commits need not wait for the disk.
    _run_on_server(server, f'ALTER DATABASE "{url.database}" SET synchronous_commit = off')
    yield url.render_as_string(hide_password=False)
    _run_on_server(server, f'DROP DATABASE "{url.database}" WITH (FORCE)')


def _run_on_server(server: str, statement: str) -> None:
    async def run() -> None:
        url = make_url(server).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()

    asyncio.run(run())


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Settings for tests, unaffected by environment variables and `.env`."""
    return make_settings(database_url=SecretStr(database_url))


def make_settings(**values: object) -> Settings:
    """Settings with *values*, regardless of environment variables."""
    defaults: dict[str, object] = {
        "environment": "test",
        "secret_key": SecretStr(sha256(b"the secret of the tests").hexdigest()),
        "mail_backend": "memory",
        "base_url": "http://test",
        # Several test processes share the server's limit of 100 connections.
        "database_pool_size": 8,
        # Tests of production settings connect to the same unencrypted servers as the other tests.
        "plaintext_hosts": _hosts_of_servers(),
        # Most tests log in with an unverified address, whatever the project's default is.
        "login_requires_verification": values.get("registration") == "private",
        # The tests rely on these values, whatever the project's defaults are.
        "password_min_length": 12,
        "verify_ttl": 60 * 60,
        "reset_ttl": 60 * 60,
        "access_ttl": 15 * 60,
        "session_idle": 14 * 24 * 60 * 60,
        "session_absolute": 90 * 24 * 60 * 60,
        "recent_login": 10 * 60,
        "refresh_grace": 30,
        "max_sessions": 50,
    }
    return Settings(_env_file=None, **(defaults | values))  # type: ignore[call-arg]


def change_settings(settings: Settings, **changes: object) -> Settings:
    """A copy of *settings* with *changes* applied."""
    values = settings.model_dump(exclude_unset=True, exclude={"login_requires_verification"})
    return make_settings(**(values | changes))


def _hosts_of_servers() -> list[str]:
    named = [os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")]
    return [host for url in named if url and (host := make_url(url).host)]


@pytest.fixture(scope="session")
def migrated(database_url: str) -> str:
    """The URL of the database with every migration applied."""
    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.attributes["database_url"] = database_url
    command.upgrade(config, "heads")
    return database_url


@pytest.fixture(scope="session")
async def started_app(settings: Settings, migrated: str) -> AsyncIterator[App]:
    app = create_app(settings)
    async with lifespan(app):
        yield app


@pytest.fixture
async def app(started_app: App) -> AsyncIterator[App]:
    """The application. Its tables and rate limits are cleared after each test."""
    yield started_app
    await started_app.state.limiter.clear()
    tables = tuple(reversed(Base.metadata.sorted_tables))
    async with started_app.state.db.session() as session:
        filled = (await session.execute(_whether_filled(tables))).one()
        for table, has_rows in zip(tables, filled, strict=True):
            if has_rows:
                await session.execute(table.delete())


@cache
def _whether_filled(tables: tuple[Table, ...]) -> Select[*tuple[bool, ...]]:
    """A query that returns whether each of *tables* has rows. Deleting from every table would be slower."""
    return select(*(exists().select_from(each) for each in tables))


@pytest.fixture
def db(app: App) -> Database:
    """`async with db.session() as session:` opens a session and commits at the end of the block."""
    return app.state.db


@pytest.fixture
def manager(app: App) -> Iterator[UserManager]:
    """The user manager. Hooks that a test replaces are restored afterwards."""
    manager: UserManager = app.state.users
    before = dict(vars(manager))
    yield manager
    vars(manager).update(before)


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that talks to the application directly."""
    async with make_client(app) as client:
        yield client


def make_client(app: App, **options: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://test", **options)  # type: ignore[arg-type]


type MakeUser = Callable[..., Awaitable[User]]


@pytest.fixture
def make_user(db: Database, password_hash: str) -> MakeUser:
    """`await make_user("ada@example.com", is_verified=True)` stores an account with `PASSWORD`."""

    async def make(email: str = "ada@example.com", **columns: object) -> User:
        async with db.session() as session:
            user = User(email=email, hashed_password=password_hash, **columns)
            session.add(user)
        return user

    return make


type Login = Callable[[User], dict[str, str]]


@pytest.fixture
def login(manager: UserManager, database_url: str) -> Login:
    """`login(user)` starts a session for *user* and returns the headers for its requests."""

    async def begin(user: User) -> str:
        engine = create_async_engine(database_url, poolclass=NullPool)
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            issued = await manager.sessions.issue(session, user)
        await engine.dispose()
        return manager.tokens.issue_access(user.id, session_id=issued.session.id)

    def headers(user: User) -> dict[str, str]:
        # Use a separate event loop, so that tests do not have to await this function.
        with ThreadPoolExecutor(1) as thread:
            token = thread.submit(asyncio.run, begin(user)).result()
        return {"Authorization": f"Bearer {token}"}

    return headers


type Outbox = Callable[[], Awaitable[list[EmailMessage]]]


@pytest.fixture
def outbox(db: Database) -> Outbox:
    """`await outbox()`: the e-mails waiting to be sent, oldest first, excluding dummy e-mails."""

    async def messages() -> list[EmailMessage]:
        async with db.session(commit=False) as session:
            return await pending_messages(session)

    return messages


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Start and stop *app* as a server would."""
    to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(app(scope, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    message = await from_app.get()
    if message["type"] != "lifespan.startup.complete":
        raise RuntimeError(message.get("message"))
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        await from_app.get()
        await task


@pytest.fixture
def started() -> Callable[[App], AbstractAsyncContextManager[None]]:
    """`async with started(app):` runs *app* as a server would."""
    return lifespan


type BuildApp = Callable[..., App]


@pytest.fixture
async def build_app(settings: Settings, migrated: str) -> AsyncIterator[BuildApp]:
    """`build_app(background_worker="inline")` creates an application with different settings and the same
    database."""
    async with AsyncExitStack() as stack:

        def build(**changes: object) -> App:
            app = create_app(change_settings(settings, **changes))
            stack.push_async_callback(app.state.db.dispose)
            stack.callback(app.state.users.hasher.close)
            stack.push_async_callback(app.state.limiter.close)
            return app

        yield build


# Your own fixtures go below; template updates never touch them.
