"""The database: one engine per application (two for SQLite), one session and one transaction per request.

The rule: **commit before the response.** The transaction is committed after the handler returns and before
the first byte of the response is sent. It is rolled back when the handler raises or returns a status of 400
or higher. Call `await db.commit()` yourself only for changes that must persist despite an error response.

GET and HEAD requests only read: they use no transaction, and their session rejects writes. The session
does not detect writes in `text("...")` or in CTEs.

Outside requests (CLI, worker, background tasks), use `async with app.state.db.session() as db:`, which
commits at the end of the block.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

from hawkapi import Depends, Request
from hawkapi_sqlalchemy import Base, Database, DatabaseConfig, init_database
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_object_session

from app.database import driver_errors, postgresql, reading, sqlite
from app.database.pool import FairPool
from app.database.reading import FAST_PATHS, ReadOnlySession
from app.services import Services
from app.web import App
from app.web.client_ip import Client, client_of
from app.web.cookies import COOKIES

__all__ = [
    "Actor",
    "Base",
    "Db",
    "act_as",
    "act_for",
    "actor_of",
    "client_of_session",
    "connect",
    "released",
    "separate_transaction",
    "services_of",
    "services_of_database",
    "services_of_session",
    "session_of",
]

# Migrations refer to constraints by these names, so do not change the names once tables exist.
Base.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
driver_errors.hide_values()

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SERVICES, _ACTOR = "services", "actor"
"""Keys in `AsyncSession.info`. Use this module's typed functions instead of the keys."""
_SQLITE_POOL = 3
"""The maximum number of connections in each of the two pools, one for writing and one for reading. Each
connection has its own thread, and more threads would only compete for the GIL."""


def connect(app: App) -> None:
    """Create the engines for DATABASE_URL. They connect on first use and close on shutdown.

    A SQLite file gets a second engine, which is used only by `app.state.reading`. To observe every
    statement, add your listener to all of `app.state.db.engines`.
    """
    settings = app.state.settings
    url = settings.database_url.get_secret_value()
    is_sqlite = url.startswith("sqlite")
    size = min(settings.database_pool_size, _SQLITE_POOL) if is_sqlite else settings.database_pool_size
    seconds = settings.database_timeout
    pool = {"poolclass": FairPool, "pool_size": size, "max_overflow": 0, "pool_timeout": seconds}
    # Database errors are logged, so they must not show parameters, such as hashes, links and tokens.
    options: dict[str, Any] = {"hide_parameters": True}
    config = DatabaseConfig(
        url=url if not is_sqlite or _is_memory(url) else sqlite.never_created(url),
        pool_pre_ping=False,
        connect_args={"timeout": seconds} if is_sqlite else {"timeout": seconds, "command_timeout": seconds},
        engine_kwargs=options if _is_memory(url) else options | pool,
    )
    # Shutdown hooks run in reverse order, so this one runs after the pool is closed.
    app.on_shutdown(postgresql.wait_for_closing)
    database = init_database(app, config=config)
    engine = reader = database.get().engine
    if is_sqlite and not _is_memory(url):
        # Reads have their own pool, because writers waiting for the write lock can hold every connection.
        reader = database.add("reading", config).engine
    # The config's repr shows the URL, so mask the password. Nothing reads the config after this.
    config.url = make_url(url).render_as_string(hide_password=True)
    # `services_of` reads the services from `info`. With autoflush, queries see objects added earlier.
    info = {_SERVICES: app.state, reading.FAST_PATHS: settings.database_fast_paths}
    # Make it an error to use a closed session. By default, the session would take and keep a new connection.
    database.get().sessionmaker.configure(info=info, autoflush=True, close_resets_only=False)
    app.state.reading = reading.build_maker(reader, fast_paths=settings.database_fast_paths)
    app.state.reading.configure(info=info, close_resets_only=False)
    if is_sqlite:
        fast_paths = settings.database_fast_paths
        for each, other in {(engine, reader), (reader, engine)}:
            sqlite.configure(
                each.sync_engine, timeout=seconds, fast_paths=fast_paths, beside=other.sync_engine
            )
    else:
        postgresql.configure(engine.sync_engine)

    @app.readiness_check("database")
    async def database_responds() -> tuple[bool, str]:
        if is_sqlite and not _is_memory(url):
            await asyncio.to_thread(sqlite.check_file, make_url(url).database or "")
        # Use a read-only session, so that a slow writer does not make the application appear to be down.
        async with app.state.reading() as db:
            await db.execute(text("SELECT 1"))
        return True, "ok"

    _ = database_responds


async def request_session(request: Request) -> AsyncGenerator[AsyncSession]:
    """The request's session. The endpoint closes the session before it sends the response."""
    app: App = request.scope["app"]
    is_read = request.method in _SAFE_METHODS
    db: AsyncSession = app.state.reading() if is_read else app.state.db.get().sessionmaker()
    db.info[_ACTOR] = Actor(client_of(request))
    try:
        yield db
        if is_read:
            # Raises if there are unflushed changes, which would otherwise be lost without an error.
            db.sync_session.flush()
        else:
            await _commit(request, db)
    except BaseException:
        # Shielded: a cancelled request must still return its connection to the pool.
        await asyncio.shield(db.close())
        raise
    if is_read and db.info.get(FAST_PATHS):
        # There is no transaction to end, so closing sends nothing to the database and needs no greenlet.
        db.sync_session.close()
    else:
        await db.close()


async def _commit(request: Request, db: AsyncSession) -> None:
    try:
        await db.commit()
    except BaseException:
        # Nothing was saved, so send no cookies: a new one would belong to a session that does not exist, and
        # a deleted one to a session that still exists.
        request.scope[COOKIES].clear()
        raise


Db = Annotated[AsyncSession, Depends(request_session)]
"""The parameter type for handlers that need the database. Put the parameter after the guards."""


def session_of(row: Any) -> AsyncSession:
    """The session that *row* belongs to. Hooks use this session to write in the same transaction.

    Raises:
        ValueError: the row does not belong to a session.
    """
    db = async_object_session(row)
    if db is None:
        raise ValueError(f"{type(row).__name__} does not belong to a session.")
    return db


def services_of(row: Any) -> Services:
    """`app.state` of the application that loaded *row*: settings, mail, users and the other services."""
    return services_of_session(session_of(row))


def services_of_database(database: Database) -> Services:
    """`app.state` of the application that *database* belongs to."""
    return database.get().sessionmaker.kw["info"][_SERVICES]


def services_of_session(db: AsyncSession) -> Services:
    """`app.state` of the application that created *db*."""
    return db.info[_SERVICES]


_NO_CLIENT = Client()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is responsible for the changes in a database session. Shown in the audit log and in notices."""

    client: Client = _NO_CLIENT
    """Empty outside requests."""
    id: str = ""
    """A user's id, `cli` or `worker`. Empty for a client that is not logged in."""
    method: str = ""
    """How the actor authenticated: bearer, cookie or link. Empty on the command line."""


_NOBODY = Actor()


def actor_of(db: AsyncSession) -> Actor:
    """Who is responsible for changes made through *db*."""
    return db.info.get(_ACTOR, _NOBODY)


def act_as(db: AsyncSession, actor: str, method: str = "") -> None:
    """Set who is responsible for changes made through *db* from now on. The client does not change.

    Use an empty *actor* for actions that require no login, such as logging in or registering, because the
    browser may be logged in as someone else. Otherwise, the account's owner would see an event "by an
    administrator", with the id of the other account.
    """
    db.info[_ACTOR] = replace(actor_of(db), id=actor, method=method)


def act_for(db: AsyncSession, client: Client) -> None:
    """Record *client* as the source of changes made through *db*.

    Needed only for sessions that do not come from `Db`.
    """
    db.info[_ACTOR] = replace(actor_of(db), client=client)


@asynccontextmanager
async def separate_transaction(reading: AsyncSession) -> AsyncGenerator[AsyncSession]:
    """A second session that lets a GET request write. It is committed at the end of the block."""
    session = reading.sync_session
    if isinstance(session, ReadOnlySession):
        # A request must not hold one connection while waiting for another.
        await reading.run_sync(lambda _: session.release())
    async with services_of_session(reading).db.session() as own:
        own.info.update(reading.info)
        yield own


@asynccontextmanager
async def released(db: AsyncSession) -> AsyncGenerator[bool]:
    """Commit at the end of the block if the block starts the transaction. Yields True in that case.

    In the block, read the data that the slow work needs. Do the work after the block. For example, hashing a
    password takes 100 ms, and a client may send its body slowly. The connection, and on SQLite the write
    lock, must not be held for that long. If the caller started the transaction, the caller must end it. The
    block ends with a commit because a rollback would expire the loaded objects. If the block raises, nothing
    is committed.
    """
    is_ours = not db.in_transaction()
    yield is_ours
    if is_ours and not isinstance(db.sync_session, ReadOnlySession):
        await db.commit()


def client_of_session(db: AsyncSession) -> Client:
    """The client whose request uses *db*, or an empty `Client` outside requests."""
    return actor_of(db).client


def _is_memory(url: str) -> bool:
    return url.startswith("sqlite") and make_url(url).database in (None, "", ":memory:")
