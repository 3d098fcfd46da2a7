"""Sends error reports to Sentry, or to a server that speaks its protocol.

A report is a log record at level ERROR with its traceback. It does not include local variables, the
request or the user. Anything that looks like a secret is removed.
"""

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger

import app as package
from app.redaction import redact_all
from app.settings import Settings


def install(settings: Settings) -> None:
    """Report errors to SENTRY_DSN. This affects the whole process. Background threads send the reports."""
    dsn = settings.sentry_dsn
    # An outage of the server that receives the reports must not cause more reports.
    for name in ("opentelemetry", "urllib3"):
        ignore_logger(name)
    sentry_sdk.init(
        dsn=dsn.get_secret_value() if dsn else None,
        environment=settings.environment,
        release=package.__version__,
        default_integrations=False,
        auto_enabling_integrations=False,
        # Breadcrumbs would include the log lines leading up to the error, with client addresses.
        integrations=[LoggingIntegration(level=None), DedupeIntegration()],
        max_breadcrumbs=0,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrub,
    )


def scrub(report: Any, hint: dict[str, Any]) -> Any:
    """Remove anything that looks like a secret, and the log record's data about the client."""
    for name in ("request", "user", "extra", "server_name", "modules"):
        report.pop(name, None)
    return redact_all(report)
