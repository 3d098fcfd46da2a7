"""Removes row and parameter values from database driver errors (ASVS 16.2.5).

PostgreSQL adds a DETAIL, such as `Key (email)=(ada@example.com) already exists.` or
`Failing row contains (…).` asyncpg quotes parameters that it cannot encode. Both would appear in every
traceback, because tracebacks include the original exceptions. Template-owned.
"""

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext


def hide_values() -> None:
    """Remove values from the errors of every engine in this process, including in commands and migrations."""
    event.listen(Engine, "handle_error", _without_values)


def _without_values(context: ExceptionContext) -> None:
    adapted, wrapped = context.original_exception, context.sqlalchemy_exception
    for error in (adapted, adapted.__cause__):
        for name in ("detail", "context"):
            if isinstance(getattr(error, name, None), str):
                setattr(error, name, None)
    if _quotes_a_value(adapted):
        for error in (adapted, adapted.__cause__, wrapped):
            if error is not None and error.args:
                error.args = (str(error.args[0]).partition(": ")[0], *error.args[1:])
        if adapted.__cause__ is not None:
            # Drop the type encoder's message, which quotes the value.
            adapted.__cause__.__cause__ = None


def _quotes_a_value(error: BaseException) -> bool:
    """Whether *error* is a data exception (SQLSTATE class 22) or asyncpg's own rejection of a parameter."""
    sqlstate = str(getattr(error, "sqlstate", None) or "")
    return sqlstate.startswith("22") or type(error.__cause__).__name__ == "DataError"
