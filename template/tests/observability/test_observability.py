"""Metrics, traces and error reports: what they must and must not contain."""

import json
import logging
import re
import socket
from pathlib import Path
from threading import Event

import pytest
import sentry_sdk
from hawkapi_mail import EmailMessage, InMemoryBackend, SendError
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.transport import Transport
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import clock
from app.mail import Undeliverable, Worker, outbox, suppression
from app.mail.outcomes import OUTCOMES
from app.observability import error_reports, tracing
from app.observability.metrics import Metrics, metrics_of
from app.observability.requests import observe
from app.observability.tracing import Tracing
from tests.conftest import make_client, make_settings

TOKEN = "mt_" + "x" * 80
WRONG = {"email": "ada@example.com", "password": "not the password"}
CLIENT = "203.0.113.9"
"""The IP address of `make_client`'s client."""
METRIC = re.compile(r"[a-z_]+_(?:total|bucket|count|seconds|bytes|pending)\b|\bmails\b")
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def measured(build_app, app):
    """An application with metrics. It is not served, so it opens no port. `app` clears its tables."""
    return build_app(metrics_port=9464)


@pytest.fixture
def value_of(measured):
    """`value_of("mails", status="dead")`: the metric's value for these labels, or None if there is none."""
    registry = metrics_of(measured.state).registry
    return lambda name, **labels: registry.get_sample_value(name, labels)


@pytest.fixture
def write_mail(measured):
    """`await write_mail(discard=True)` adds an e-mail to the outbox."""

    async def write(**options):
        message = EmailMessage(
            subject="Hello", to=["ada@example.com"], text_body="Hello", sender="app@example.com"
        )
        async with measured.state.db.session() as db:
            outbox.enqueue(db, message, **options)

    return write


class Sender(InMemoryBackend):
    """A mail backend that raises *error*, if given, instead of sending e-mails."""

    def __init__(self, error=None):
        super().__init__()
        self._error = error

    async def send(self, message):
        if self._error is not None:
            raise self._error
        return await super().send(message)


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def traced(build_app, spans):
    """`traced()`: an application whose finished spans are collected in `spans`."""

    def build(**changes):
        app, traces = build_app(**changes), TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(spans))
        tracing = Tracing(traces, MeterProvider())
        app.wrap(observe(tracing.request))
        for each in app.state.db.engines.values():
            tracing.trace_statements(each.engine.sync_engine)
        return app

    return build


@pytest.fixture
def reports(monkeypatch):
    """The reports that would be sent to Sentry, as text."""
    sent: list[str] = []

    class Kept(Transport):
        def capture_envelope(self, envelope):
            sent.append(envelope.serialize().decode())

    init = sentry_sdk.init
    monkeypatch.setattr(sentry_sdk, "init", lambda **given: init(transport=Kept, **given))
    error_reports.install(make_settings(sentry_dsn="https://key@sentry.example.org/1"))
    yield sent
    sentry_sdk.get_global_scope().set_client(None)


# Metrics


def test_without_its_setting_nothing_is_measured(app):
    assert metrics_of(app.state) is None


async def test_a_request_is_counted_under_the_pattern_of_its_route(measured, value_of):
    async with make_client(measured) as client:
        await client.post(f"/users/verify/{TOKEN}")
        await client.head("/livez")
        await client.get("/no/such/page")
        await client.request("BREW", "/users/me")

    count = "http_request_duration_seconds_count"
    assert value_of(count, method="POST", route="/users/verify/{token}", status="400") == 1
    assert value_of(count, method="HEAD", route="/livez", status="200") == 1
    assert value_of(count, method="GET", route="unmatched", status="404") == 1
    assert value_of(count, method="other", route="unmatched", status="405") == 1


async def test_logins_are_counted_by_their_outcome(measured, value_of):
    async with make_client(measured) as client:
        await client.post("/users/login", json=WRONG)

    assert value_of("account_events_total", event="login", outcome="failure") == 1


@pytest.mark.parametrize(
    ("error", "discard", "outcome"),
    [
        (None, False, "sent"),
        (None, True, "discarded"),
        (SendError("later"), False, "retried"),
        (Undeliverable("never"), False, "dead"),
    ],
)
async def test_a_mail_is_counted_by_its_outcome(measured, value_of, write_mail, error, discard, outcome):
    await write_mail(discard=discard)

    await Worker(measured.state.db, Sender(error)).run_once()

    counts = {each: value_of("mail_deliveries_total", outcome=each) for each in OUTCOMES}
    assert counts == {each: int(each == outcome) for each in OUTCOMES}


async def test_a_suppressed_mail_is_counted(measured, value_of, write_mail, monkeypatch):
    async def everybody(db, addresses):
        return addresses

    monkeypatch.setattr(suppression, "SUPPRESSIONS", [everybody])
    await write_mail()

    await Worker(measured.state.db, Sender()).run_once()

    assert value_of("mail_deliveries_total", outcome="suppressed") == 1
    assert value_of("mail_deliveries_total", outcome="sent") == 0


async def test_a_mail_that_expires_in_the_outbox_is_counted(measured, value_of, write_mail):
    await write_mail(expires_at=clock.now())

    (clean,) = [task for task in measured.state.tasks if task.name == "clean the outbox"]
    await clean.do()

    assert value_of("mail_deliveries_total", outcome="dead") == 1


async def test_the_outbox_is_measured(measured, value_of, write_mail):
    await write_mail()

    async with measured.state.db.session(commit=False) as db:
        await metrics_of(measured.state).look_at_outbox(db)

    assert value_of("mails", status="pending") == 1
    assert value_of("oldest_due_mail_age_seconds") >= 0


def test_each_process_has_its_own_port(manager):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert Metrics(manager.hasher).serve("127.0.0.1", port) > port


# Traces


async def test_a_span_contains_no_token_and_no_value(traced, spans):
    async with make_client(traced()) as client:
        await client.post(f"/users/verify/{TOKEN}")
        await client.post("/users/login", json=WRONG)

    finished = spans.get_finished_spans()
    names = {span.name for span in finished}
    assert {"POST /users/verify/{token}", "POST /users/login", "SELECT"} <= names
    text = "".join(span.to_json() for span in finished)
    assert TOKEN not in text
    assert "ada@example.com" not in text


async def test_statements_belong_to_their_request(traced, spans):
    async with make_client(traced()) as client:
        response = await client.post("/users/login", json=WRONG)

    *statements, request = spans.get_finished_spans()
    assert request.name == "POST /users/login"
    assert request.attributes["request.id"] == response.headers["x-request-id"]
    assert {span.context.trace_id for span in statements} == {request.context.trace_id}


@pytest.mark.parametrize(("proxies", "continues"), [([CLIENT], True), ([], False)])
async def test_only_a_trusted_proxy_can_continue_a_trace(traced, spans, proxies, continues):
    async with make_client(traced(trusted_proxies=proxies)) as client:
        await client.get("/livez", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})

    (span,) = spans.get_finished_spans()
    assert (f"{span.context.trace_id:032x}" == TRACE) == continues


async def test_a_collector_that_does_not_respond_hardly_delays_a_stop(monkeypatch):
    responded, sent = Event(), Event()

    class Unresponsive(SpanProcessor):
        def shutdown(self):
            responded.wait(30)
            sent.set()

    traces = TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(Unresponsive())
    monkeypatch.setattr(tracing, "_TO_SEND", 0.01)

    await Tracing(traces, MeterProvider(shutdown_on_exit=False)).close()

    assert not sent.is_set()
    responded.set()


# Error reports


def test_a_report_contains_no_secret_and_no_client_address(reports):
    password = "known to no other test"
    try:
        raise RuntimeError(f"the link /users/verify/{TOKEN} failed")
    except RuntimeError:
        logging.getLogger("app.web").exception("it failed", extra={"client": CLIENT, "is": password})

    (report,) = reports
    assert "RuntimeError" in report
    for private in (TOKEN, password, CLIENT):
        assert private not in report


# Slow queries


async def test_a_slow_query_is_logged_without_its_values(build_app, caplog):
    async with make_client(build_app(slow_query_ms=0)) as client:
        await client.post("/users/login", json=WRONG)

    logged = [record.statement for record in caplog.records if record.name == "app.slow_queries"]
    assert any(statement.startswith("SELECT") for statement in logged)
    assert not [statement for statement in logged if "ada@example.com" in statement]


async def test_a_slow_query_that_fails_is_logged(build_app, caplog):
    """The slowest statements are those that DATABASE_TIMEOUT aborts."""
    app = build_app(slow_query_ms=0)

    async with app.state.db.session(commit=False) as session:
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT nothing FROM nowhere"))

    logged = [record.statement for record in caplog.records if record.name == "app.slow_queries"]
    assert logged == ["SELECT nothing FROM nowhere"]


# The dashboard


def test_the_dashboard_shows_only_metrics_that_exist(measured):
    registry = metrics_of(measured.state).registry
    names = {sample.name for family in registry.collect() for sample in family.samples}
    names |= {family.name for family in registry.collect()}
    # A metric with labels has no sample before its first use.
    names |= {f"{name}{end}" for name in names for end in ("_bucket", "_count", "_total")}
    dashboard = json.loads((Path("app") / "observability" / "grafana_dashboard.json").read_text())

    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(
            r"[a-z_]+_(?:total|bucket|count|seconds|bytes|pending)\b|\bmails\b", target["expr"]
        )
    }
    assert shown
    assert shown <= names


# Your own tests go below; template updates never touch them.
