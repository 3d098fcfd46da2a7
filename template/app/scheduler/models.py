"""The table of the scheduled tasks. Template-owned."""

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.clock import UTCDateTime
from app.database import Base


class TaskState(Base):
    """What the processes must agree on about a task: one row for each task."""

    __tablename__ = "scheduled_tasks"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    claimed_until: Mapped[datetime] = mapped_column(UTCDateTime)
    """Every time until then at which the task was due has been claimed by a process."""
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """Until then, only one process may run the task. It renews the lease while it runs the task."""
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the last run ended, or None while one runs."""
    error: Mapped[str] = mapped_column(Text, default="")
    """The exception class of the last run, or empty. Its message may be private, so it is only logged."""
