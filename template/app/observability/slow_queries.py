"""Logs slow queries (statements that take SLOW_QUERY_MS or longer), but never their parameters."""

import logging
import time
from typing import Any

from sqlalchemy import Engine, ExceptionContext, event

logger = logging.getLogger("app.slow_queries")

_BEGAN = "app.query_began"


def install(engine: Engine, milliseconds: int) -> None:
    """Log each statement on *engine* that takes *milliseconds* or longer."""

    @event.listens_for(engine, "before_cursor_execute")
    def begin(connection: Any, *_: Any) -> None:
        connection.info[_BEGAN] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        log(connection, statement)

    @event.listens_for(engine, "handle_error")
    def fail(context: ExceptionContext) -> None:
        # The slowest statements of all are the ones that DATABASE_TIMEOUT stops.
        if context.connection is not None and context.statement is not None:
            log(context.connection, context.statement)

    def log(connection: Any, statement: str) -> None:
        began = connection.info.pop(_BEGAN, None)
        if began is None:
            return
        took = round((time.perf_counter() - began) * 1000, 1)
        if took >= milliseconds:
            logger.warning("a query took %s ms", took, extra={"statement": " ".join(statement.split())})

    _ = (begin, end, fail)
