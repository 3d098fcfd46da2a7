"""Reports of errors to Sentry, or to a server that speaks its protocol.

A report is a log record of the level ERROR, with its traceback. It has no local variables, no request and no
user, and what looks like a secret is removed.
"""

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger

import app as package
from app.redaction import redact_all
from app.settings import Settings


def install(settings: Settings) -> None:
    """Report errors to SENTRY_DSN. It works in threads of its own, and for the whole process."""
    dsn = settings.sentry_dsn
    # An outage of the server that gets the reports must not cause more reports.
    for name in ("opentelemetry", "urllib3"):
        ignore_logger(name)
    sentry_sdk.init(
        dsn=dsn.get_secret_value() if dsn else None,
        environment=settings.environment,
        release=package.__version__,
        default_integrations=False,
        auto_enabling_integrations=False,
        # Breadcrumbs would hold the log lines before the error, with addresses of clients.
        integrations=[LoggingIntegration(level=None), DedupeIntegration()],
        max_breadcrumbs=0,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrub,
    )


def scrub(report: Any, hint: dict[str, Any]) -> Any:
    """Remove what looks like a secret, and what a log line says about its client."""
    for name in ("request", "user", "extra", "server_name", "modules"):
        report.pop(name, None)
    return redact_all(report)
