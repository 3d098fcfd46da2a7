"""Logs when a fault in background work starts and when it ends, but not its repetitions in between.

Template-owned. This is not for failed requests, which log one line each (see `app/web/problems.py`).
"""

import logging
from dataclasses import dataclass, field

from app.web.database_errors import is_unavailable, log_missing_migration, names_of


@dataclass
class Fault:
    """Tracks the faults in one piece of work, which is retried after each failure."""

    logger: logging.Logger
    work: str
    """The name of the work, phrased as the subject of a sentence, such as "the mail worker"."""
    failures: int = 0
    _logged: set[str] = field(default_factory=set[str])

    def failed(self, error: Exception) -> None:
        """Count a failure. Log the first failure of each kind since the work last succeeded."""
        if log_missing_migration(self.logger, error):
            return
        self.failures += 1
        # A server restart causes several kinds of errors, which count as one fault.
        is_outage = is_unavailable(error) or isinstance(error, OSError)
        kind = "outage" if is_outage else type(error).__name__
        if kind in self._logged:
            return
        self._logged.add(kind)
        self.logger.error(
            "%s failed (%s); further failures are counted until it works again",
            self.work,
            names_of(error),
            # During an outage, the traceback shows only driver code and is no help.
            exc_info=None if is_outage else error,
        )

    def ended(self) -> None:
        """Record that the work succeeded. After a failure, also log the recovery."""
        if self.failures:
            self.logger.warning("%s works again; failures: %d", self.work, self.failures)
        self.failures = 0
        self._logged.clear()
