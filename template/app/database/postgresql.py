"""PostgreSQL connections: if the server is down or hangs, calls fail with a database error instead of
blocking for long.

Template-owned. DATABASE_TIMEOUT sets the time limits.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, event, exc
from sqlalchemy.engine import ExceptionContext

_IDLE_BEFORE_PING = 30.0
"""Seconds of idle time after which a pooled connection is tested before use. A test costs a round trip."""
_TO_CLOSE = 2.0
"""Seconds to wait for the server to end an abandoned statement before aborting the connection."""
_closing: set[asyncio.Task[None]] = set()
"""References that keep the tasks alive: the event loop itself keeps only weak references."""


def configure(engine: Engine) -> None:
    """Prepare every connection that *engine* opens from now on."""
    _name_connection_errors(engine)
    _name_timeouts(engine)
    _close_in_background(engine)
    _ping_after_idling(engine)


async def wait_for_closing() -> None:
    """Wait for abandoned connections to close, for at most twice `_TO_CLOSE`."""
    if _closing:
        await asyncio.wait(_closing, timeout=2 * _TO_CLOSE)


def _name_connection_errors(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def on_connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        # Convert asyncpg's bare OSError for a refused or timed-out connection into a database error.
        try:
            return dialect.connect(*arguments, **options)
        except OSError as error:
            raise dialect.loaded_dbapi.OperationalError(str(error)) from error

    _ = on_connect


def _name_timeouts(engine: Engine) -> None:
    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> exc.OperationalError | None:
        # asyncpg raises a bare TimeoutError for a statement or COMMIT that took too long.
        if not isinstance(context.original_exception, TimeoutError):
            return None
        # The transaction's state is unknown, and the pool's other connections are probably hanging as well.
        context.is_disconnect = True
        return exc.OperationalError(context.statement, {}, context.original_exception, hide_parameters=True)

    _ = on_error


def _close_in_background(engine: Engine) -> None:
    """Free the slot in the pool and fail the request, without waiting for a server that may be hanging."""

    def close(dbapi_connection: Any) -> None:
        connection = dbapi_connection.driver_connection
        try:
            # If a statement is running, closing the connection first sends a cancel request.
            task = asyncio.create_task(_close(connection))
        except RuntimeError:
            # There is no event loop: the connection is being garbage-collected.
            connection.terminate()
            return
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    engine.dialect.do_close = close
    engine.dialect.do_terminate = close


async def _close(connection: Any) -> None:
    # If `close` fails or is cancelled, it has already aborted the connection. The `timeout` argument of
    # `close` does not limit the wait for a cancel request.
    with suppress(Exception):
        async with asyncio.timeout(_TO_CLOSE):
            await connection.close()


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
            # Tells the pool to discard this connection and try the next.
            raise exc.DisconnectionError from error

    _ = (on_checkin, on_checkout)
