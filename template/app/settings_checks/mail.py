"""Finds missing settings and packages that the chosen mail backend needs. Template-owned."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings

_NEEDED = {
    "ses": ["aws_region"],
    "sendgrid": ["sendgrid_api_key"],
    "mailgun": ["mailgun_api_key", "mailgun_domain"],
    "resend": ["resend_api_key"],
}


def lacking(settings: "Settings") -> Iterator[str]:
    """One message for each missing setting or package that MAIL_BACKEND needs to send e-mail."""
    backend = settings.mail_backend
    for name in _NEEDED.get(backend, []):
        if not getattr(settings, name):
            yield f"{name.upper()}: must be set if MAIL_BACKEND is {backend}."
    if backend == "ses" and find_spec("boto3") is None:
        yield "MAIL_BACKEND: ses needs the boto3 package; install it with `uv add boto3`."
    if bool(settings.aws_access_key_id) != bool(settings.aws_secret_access_key):
        yield "AWS_ACCESS_KEY_ID: must be set together with AWS_SECRET_ACCESS_KEY."
