"""Metrics for Prometheus. Each process listens on its own port: METRICS_PORT or the next free one.

Register your own metrics in `registry`, from one of your features:

    if (metrics := metrics_of(app.state)) is not None:  # None without METRICS_PORT
        orders = Counter("orders", "Orders by outcome.", ["outcome"], registry=metrics.registry)

A label must have few values, because each combination of values is a separate time series.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import services_of
from app.mail.outbox import DEAD, PENDING, OutboxMessage
from app.mail.outcomes import LISTENERS, OUTCOMES, Outcome
from app.observability.requests import Observed, observe
from app.services import Services
from app.tasks import PeriodicTask
from app.users.audit import AuditEvent
from app.users.passwords.hashing import PasswordHasher
from app.web import App

logger = logging.getLogger("app.observability")

PORTS = 32
"""The number of ports to try, starting at METRICS_PORT."""
OUTBOX_INTERVAL = 15.0
"""Seconds between measurements of the outbox."""


class Metrics:
    """The metrics of one process."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Histogram(
            "http_request_duration_seconds",
            "Seconds until the response was sent. A 429 means that a rate limit was reached.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.account_events = Counter(
            "account_events",
            "Audit log entries, such as logins, by outcome.",
            ["event", "outcome"],
            registry=self.registry,
        )
        waiting = Gauge(
            "password_hashes_pending",
            "Password hashes that are being computed or waiting for a thread.",
            registry=self.registry,
        )
        waiting.set_function(lambda: hasher.pending)
        self.deliveries = Counter(
            "mail_deliveries",
            "E-mails by outcome: sent, retried, dead (set aside), suppressed or discarded.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            # A series that begins with the first failure would hide that failure from `increase`.
            self.deliveries.labels(outcome)
        self.mails = Gauge("mails", "E-mails in the outbox, by status.", ["status"], registry=self.registry)
        self.oldest_mail = Gauge(
            "oldest_due_mail_age_seconds",
            "How long the oldest e-mail that is due has been waiting.",
            registry=self.registry,
        )

    def serve(self, host: str, port: int) -> int:
        """Listen on the first free port, starting at *port*, and return it."""
        for each in range(port, port + PORTS):
            try:
                start_http_server(each, host, registry=self.registry)
            except OSError:
                continue
            logger.info("metrics are at http://%s:%d/metrics", host, each)
            return each
        raise OSError(
            f"METRICS_PORT: none of the ports {port} to {port + PORTS - 1} on {host} is free. Choose another."
        )

    @contextmanager
    def measure(self, request: Observed) -> Generator[None]:
        """Measure how long a request takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            labels = (request.method, request.route, str(request.status))
            self.requests.labels(*labels).observe(time.perf_counter() - began)

    async def look_at_outbox(self, db: AsyncSession) -> None:
        """Count the e-mails, and measure how long the oldest e-mail that is due has been waiting."""
        by_status = select(OutboxMessage.status, func.count()).group_by(OutboxMessage.status)
        rows = (await db.execute(by_status)).all()
        counts = {row[0]: row[1] for row in rows}
        for status in (PENDING, DEAD):
            self.mails.labels(status).set(counts.get(status, 0))
        now = datetime.now(UTC)
        due = select(func.min(OutboxMessage.next_attempt_at)).where(OutboxMessage.status == PENDING)
        oldest = await db.scalar(due)
        self.oldest_mail.set(0 if oldest is None else max(0.0, (now - _in_utc(oldest)).total_seconds()))


_of_services: WeakKeyDictionary[Services, Metrics] = WeakKeyDictionary()


def metrics_of(services: Services) -> Metrics | None:
    """An application's metrics, or None if it has none."""
    return _of_services.get(services)


def install(app: App) -> None:
    """Measure requests, audit events, hashes and e-mails. Serve the metrics once the process is running."""
    settings, database = app.state.settings, app.state.db
    metrics = _of_services[app.state] = Metrics(app.state.users.hasher)
    app.wrap(observe(metrics.measure))
    ports: list[int] = []

    async def serve() -> None:
        if not ports and settings.metrics_port is not None:
            ports.append(metrics.serve(settings.metrics_host, settings.metrics_port))

    async def look_at_outbox() -> None:
        # `app worker` runs no startup hooks.
        await serve()
        async with database.session(commit=False) as db:
            await metrics.look_at_outbox(db)

    app.on_startup(serve)
    app.state.tasks.append(PeriodicTask("measure the outbox", OUTBOX_INTERVAL, look_at_outbox))


@event.listens_for(AuditEvent, "after_insert")
def _count(mapper: Any, connection: Any, entry: AuditEvent) -> None:
    if (metrics := metrics_of(services_of(entry))) is not None:
        metrics.account_events.labels(entry.event, entry.outcome).inc()


def _count_mails(services: Services, outcome: Outcome, number: int) -> None:
    if (metrics := metrics_of(services)) is not None:
        metrics.deliveries.labels(outcome).inc(number)


LISTENERS.append(_count_mails)


def _in_utc(moment: datetime) -> datetime:
    # SQLite does not store time zones.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
