"""Metrics, traces, error reports and a log of slow queries. Each is off until you configure it.

None of them contains a path, a query string, a header, a statement's parameters or an e-mail address, because
those can contain tokens and personal data. Keep it that way when you add your own.
"""

import logging

from app.web import App

REQUIRES = ("mail", "users")
"""Features that must be installed before this one."""


def install(app: App) -> None:
    """Start the parts that the settings enable. Libraries are loaded only if needed, because loading them
    takes time and memory."""
    settings = app.state.settings
    # Hide these libraries' warnings: the errors that follow repeat them.
    for name in ("opentelemetry", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if settings.metrics_port is not None:
        from app.observability import metrics

        metrics.install(app)
    if settings.otlp_endpoint:
        from app.observability import tracing

        tracing.install(app)
    if settings.sentry_dsn is not None:
        from app.observability import error_reports

        error_reports.install(settings)
    if settings.slow_query_ms is not None:
        from app.observability import slow_queries

        for each in app.state.db.engines.values():
            slow_queries.install(each.engine.sync_engine, settings.slow_query_ms)
