"""The table of scheduled tasks. Template-owned."""

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.clock import UTCDateTime
from app.database import Base


class TaskState(Base):
    """A task's state, shared by all processes. There is one row per task."""

    __tablename__ = "scheduled_tasks"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    claimed_until: Mapped[datetime] = mapped_column(UTCDateTime)
    """All runs due up to this time have been claimed by a process."""
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the lease on the task expires. The process running the task renews the lease."""
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the last run finished, or None during a run."""
    error: Mapped[str] = mapped_column(Text, default="")
    """The exception class if the last run failed; otherwise, empty. The message may be private, so it is only
    logged."""
