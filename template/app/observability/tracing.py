"""Traces and request durations for OpenTelemetry: a span for each request, with a child span for each
statement.

OTLP_ENDPOINT is the collector's URL. OpenTelemetry's own environment variables, such as
OTEL_TRACES_SAMPLER, also work.
"""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Engine, event

from app.observability.requests import Observed, observe
from app.web import App
from app.web.access_log import request_id_of
from app.web.client_ip import is_from_proxy

_SPAN = "app.span"
_PARENT = TraceContextTextMapPropagator()
_TO_SEND = 5.0
"""The longest that an unresponsive collector can delay a shutdown, in seconds."""


class Tracing:
    """Creates the spans for one application."""

    def __init__(self, traces: TracerProvider, metrics: MeterProvider) -> None:
        self._traces = traces
        self._metrics = metrics
        self._tracer = traces.get_tracer("app")
        self._durations = metrics.get_meter("app").create_histogram(
            "http.server.request.duration", unit="s", description="Duration of HTTP server requests."
        )

    @contextmanager
    def request(self, request: Observed) -> Generator[None]:
        """The span for a request. Only a trusted proxy can make the span part of an existing trace."""
        headers = request.scope["headers"] if is_from_proxy(request.scope) else ()
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        began = time.perf_counter()
        with self._tracer.start_as_current_span(
            request.method, context=_PARENT.extract(carrier), kind=SpanKind.SERVER, record_exception=False
        ) as span:
            try:
                yield
            finally:
                attributes = {
                    "http.request.method": request.method,
                    "http.route": request.route,
                    "http.response.status_code": request.status,
                }
                span.update_name(f"{request.method} {request.route}")
                span.set_attributes({**attributes, "request.id": request_id_of(request.scope)})
                if request.status >= 500:
                    span.set_status(StatusCode.ERROR)
                self._durations.record(time.perf_counter() - began, attributes)

    def trace_statements(self, engine: Engine) -> None:
        """Create a span for each statement, with the statement's text but not its parameters."""

        @event.listens_for(engine, "before_cursor_execute")
        def begin(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            span = self._tracer.start_span(
                statement.partition(" ")[0],
                kind=SpanKind.CLIENT,
                attributes={"db.system.name": engine.dialect.name, "db.query.text": statement},
            )
            connection.info[_SPAN] = span

        @event.listens_for(engine, "after_cursor_execute")
        def end(connection: Any, *_: Any) -> None:
            connection.info.pop(_SPAN).end()

        @event.listens_for(engine, "handle_error")
        def fail(context: Any) -> None:
            span = context.connection and context.connection.info.pop(_SPAN, None)
            if span:
                span.set_status(StatusCode.ERROR, type(context.original_exception).__name__)
                span.end()

        _ = (begin, end, fail)

    async def close(self) -> None:
        """Send the remaining data. Data that the collector has not received after `_TO_SEND` is lost."""
        # Use daemon threads, because Python waits for all other threads before it exits.
        senders = [Thread(target=each.shutdown, daemon=True) for each in (self._traces, self._metrics)]
        for sender in senders:
            sender.start()
        await asyncio.gather(*(asyncio.to_thread(sender.join, _TO_SEND) for sender in senders))


def install(app: App) -> None:
    """Trace requests and statements, and send the data to OTLP_ENDPOINT."""
    settings = app.state.settings
    resource = Resource.create({"service.name": settings.app_name, "service.version": app.version})
    # `close` sends the data. Commands serve no requests and have nothing to send, so they do not call it.
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces")))
    exporter = OTLPMetricExporter(f"{settings.otlp_endpoint}/v1/metrics")
    readers = [PeriodicExportingMetricReader(exporter)]
    metrics = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    tracing = Tracing(traces, metrics)
    app.wrap(observe(tracing.request))
    for each in app.state.db.engines.values():
        tracing.trace_statements(each.engine.sync_engine)
    app.on_shutdown(tracing.close)
