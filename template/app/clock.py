"""The current time, which tests can set, and a column type for times.

Template-owned. Call `clock.now()` instead of `datetime.now()`.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.dialects.sqlite import DATETIME
from sqlalchemy.types import TypeDecorator


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


class _SQLiteText(DATETIME):
    """Writes whole seconds without ".000000", as SQLite's CURRENT_TIMESTAMP does. SQLite compares times as
    text, so equal times must be written the same way."""

    def bind_processor(self, dialect: Any) -> Any:
        write: Any = super().bind_processor(dialect)

        def shortest(value: datetime | None) -> str | None:
            return None if value is None else write(value).removesuffix(".000000")

        return shortest


class UTCDateTime(TypeDecorator[datetime]):
    """A column type for points in time. SQLite returns times without a time zone; this type adds UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(_SQLiteText() if dialect.name == "sqlite" else self.impl_instance)

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("The time has no time zone. Use clock.now(), not datetime.now().")
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value if value is None or value.tzinfo is not None else value.replace(tzinfo=UTC)
