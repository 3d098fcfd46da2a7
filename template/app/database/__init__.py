"""The database: one engine for the application, one session and one transaction for each request.

The rule: **committed before answered.** A request's transaction is committed after its handler has returned
and before the first byte of the answer leaves; it is rolled back when the handler raises or answers 400 and
more. Call `await db.commit()` yourself only for what must last although the answer is an error.

GET and HEAD only read: their statements need no transaction, and a session that tries to write refuses.

Outside requests (CLI, worker, background work): `async with app.state.db.session() as db:`, which
commits at the end of the block.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

from hawkapi import Depends, Request
from hawkapi_sqlalchemy import Base, DatabaseConfig, init_database
from sqlalchemy import Engine, event, exc, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_object_session

from app.database import driver_errors, reading, sqlite
from app.database.reading import FAST_PATHS, ReadOnlySession
from app.services import Services
from app.web import App
from app.web.client_ip import Client, client_of

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
    "services_of_session",
    "session_of",
]

# Names that every database and every migration agree on. Do not change them once tables exist.
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
"""Keys of `AsyncSession.info`. Only the functions of this module use them, so that what is there has a
type."""
_IDLE_BEFORE_PING = 30.0
"""Seconds after which a pooled connection is tested before use; testing each use costs a round trip."""
_SQLITE_POOL = 3
"""Each connection to SQLite is a thread; more of them only fight for the interpreter."""


def connect(app: App) -> None:
    """Open the engine that DATABASE_URL names, lazily, and close it with the application."""
    settings = app.state.settings
    url = settings.database_url.get_secret_value()
    is_sqlite = url.startswith("sqlite")
    size = min(settings.database_pool_size, _SQLITE_POOL) if is_sqlite else settings.database_pool_size
    pool = {"pool_size": size, "max_overflow": 0, "pool_timeout": 10}
    # An error of the database is logged, and what was to be written holds hashes, links and tokens.
    options: dict[str, Any] = {"hide_parameters": True}
    config = DatabaseConfig(
        url=url,
        pool_pre_ping=False,
        connect_args={"timeout": 10},
        engine_kwargs=options if _is_memory(url) else options | pool,
    )
    database = init_database(app, config=config)
    # Nobody reads it any more, and its repr would show the password.
    config.url = make_url(url).render_as_string(hide_password=True)
    engine = database.get().engine
    # So that code with a row in hand, a hook for example, finds the services of its own application.
    # Queries see what was added before them, as SQLAlchemy's documentation says.
    info = {_SERVICES: app.state, reading.FAST_PATHS: settings.database_fast_paths}
    database.get().sessionmaker.configure(info=info, autoflush=True)
    app.state.reading = reading.build_maker(engine, fast_paths=settings.database_fast_paths)
    app.state.reading.configure(info=info)
    if is_sqlite:
        sqlite.configure(engine.sync_engine, fast_paths=settings.database_fast_paths)
    else:
        _name_connection_errors(engine.sync_engine)
        _ping_after_idling(engine.sync_engine)

    @app.readiness_check("database")
    async def database_answers() -> tuple[bool, str]:
        # Reading, so that a writer that takes its time does not make the application look dead.
        async with asyncio.timeout(5), app.state.reading() as db:
            await db.execute(text("SELECT 1"))
        return True, "ok"

    _ = database_answers


async def request_session(request: Request) -> AsyncGenerator[AsyncSession]:
    """The session of a request; the endpoint finishes it before the answer leaves."""
    app: App = request.scope["app"]
    is_read = request.method in _SAFE_METHODS
    db: AsyncSession = app.state.reading() if is_read else app.state.db.get().sessionmaker()
    db.info[_ACTOR] = Actor(client_of(request))
    try:
        yield db
        if is_read:
            # Refuses what was added or changed and not sent yet: it would be lost behind a success.
            db.sync_session.flush()
        else:
            await db.commit()
    except BaseException:
        # Shielded: a request that is cancelled must still give its connection back.
        await asyncio.shield(db.close())
        raise
    if is_read and db.info.get(FAST_PATHS):
        # It has begun nothing that would have to be sent to the database, so this needs no greenlet.
        db.sync_session.close()
    else:
        await db.close()


Db = Annotated[AsyncSession, Depends(request_session)]
"""The parameter type of a handler that needs the database. It stands after the guards."""


def session_of(row: Any) -> AsyncSession:
    """The session that *row* was loaded in or added to: hooks write with it, in the same transaction.

    Raises:
        ValueError: the row belongs to no session.
    """
    db = async_object_session(row)
    if db is None:
        raise ValueError(f"{type(row).__name__} belongs to no session.")
    return db


def services_of(row: Any) -> Services:
    """`app.state` of the application that *row* was loaded by: settings, mail, users and the others."""
    return services_of_session(session_of(row))


def services_of_session(db: AsyncSession) -> Services:
    """`app.state` of the application that made *db*."""
    return db.info[_SERVICES]


_NO_CLIENT = Client()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does what a database session writes: the audit log and the mails to owners tell of it."""

    client: Client = _NO_CLIENT
    """Empty outside requests."""
    id: str = ""
    """A user's id, `cli` or `worker`; empty for somebody who is not logged in."""
    method: str = ""
    """How they showed who they are: bearer, cookie, link; empty on the command line."""


_NOBODY = Actor()


def actor_of(db: AsyncSession) -> Actor:
    """Who does what *db* writes."""
    return db.info.get(_ACTOR, _NOBODY)


def act_as(db: AsyncSession, actor: str, method: str = "") -> None:
    """Say who does what *db* writes from now on; the client stays."""
    db.info[_ACTOR] = replace(actor_of(db), id=actor, method=method)


def act_for(db: AsyncSession, client: Client) -> None:
    """Say which client *db* works for, where it is not the session of the request itself."""
    db.info[_ACTOR] = replace(actor_of(db), client=client)


@asynccontextmanager
async def separate_transaction(reading: AsyncSession) -> AsyncGenerator[AsyncSession]:
    """For what a GET has to write down: a session of its own, committed at the end of the block."""
    session = reading.sync_session
    if isinstance(session, ReadOnlySession):
        # A request that waits for a second connection must not hold the first.
        await reading.run_sync(lambda _: session.release())
    async with services_of_session(reading).db.session() as own:
        own.info.update(reading.info)
        yield own


@asynccontextmanager
async def released(db: AsyncSession) -> AsyncGenerator[bool]:
    """Commit at the end of the block, but only a transaction that began in the block. Yields whether it did
    so.

    Read in the block what a slow piece of work needs, and do the work after it. A password hash takes 100 ms,
    and a client takes as long as it likes to send a body: the connection, on SQLite also the write lock, must
    not be held meanwhile. A transaction that the caller has begun is the caller's to commit. It is a commit
    and no rollback because a rollback would unload what was read. When the block raises, nothing is
    committed.
    """
    is_ours = not db.in_transaction()
    yield is_ours
    if is_ours and not isinstance(db.sync_session, ReadOnlySession):
        await db.commit()


def client_of_session(db: AsyncSession) -> Client:
    """Who asks for what *db* does; an empty `Client` outside requests."""
    return actor_of(db).client


def _is_memory(url: str) -> bool:
    return url.startswith("sqlite") and make_url(url).database in (None, "", ":memory:")


def _name_connection_errors(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def on_connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        # asyncpg lets a refused or timed out connection out as a bare OSError, which could be anyone's.
        try:
            return dialect.connect(*arguments, **options)
        except OSError as error:
            raise dialect.loaded_dbapi.OperationalError(str(error)) from error

    _ = on_connect


def _ping_after_idling(engine: Engine) -> None:
    @event.listens_for(engine, "checkin")
    def on_checkin(connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(connection: Any, record: Any, proxy: Any) -> None:
        idle_since = record.info.get("idle_since")
        if idle_since is None or time.monotonic() - idle_since < _IDLE_BEFORE_PING:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:
            # Tells the pool to throw this connection away and to try the next.
            raise exc.DisconnectionError from error

    _ = (on_checkin, on_checkout)
