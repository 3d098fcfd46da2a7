"""Code shared by all providers' webhooks. Template-owned.

hawkapi-mail's parsers are not used: they treat a full mailbox and other temporary failures as bounces.
"""

import time
from collections.abc import Mapping
from typing import Annotated, Protocol

import msgspec

from app.i18n import gettext as _
from app.mail_webhooks.bounces import Event

type Headers = Mapping[str, str]
type Timestamp = Annotated[float, msgspec.Meta(ge=0, lt=2**32)]

WINDOW = 3600
"""Seconds for which a signature is accepted. A provider may retry a request with the same signature."""
MIN_KEY = 16
"""The minimum length of an HMAC key. A shorter key is probably a mistake and could be guessed."""


class WebhookRefused(ValueError):
    """The request was not signed by the provider, was signed too long ago, or is malformed."""

    code = "webhook_refused"

    def __init__(self) -> None:
        super().__init__(_("The request is not signed by the provider, or the signature is too old."))


class WebhookUnavailable(Exception):
    """The signature cannot be checked right now. The provider will try again."""

    code = "webhook_unavailable"

    def __init__(self) -> None:
        super().__init__(_("The signature cannot be checked at the moment."))


class Webhook(Protocol):
    """A provider's webhook."""

    async def events(self, headers: Headers, body: bytes) -> list[Event]:
        """The bounces and complaints in a request.

        Raises:
            WebhookRefused: the request is not signed by the provider, is too old or is malformed. The request
                must be ignored.
            WebhookUnavailable: the signature cannot be checked right now. The provider must retry.
        """
        ...

    async def accept_again(self, body: bytes) -> None:
        """Allow a request to be accepted again, because its events could not be stored."""


def read[T](body: bytes | str, kind: type[T]) -> T:
    """Decode *body* as JSON. Raises `WebhookRefused` if *body* is not valid."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError):
        raise WebhookRefused from None


def require_recent(timestamp: float) -> None:
    """Raise `WebhookRefused` if a request's *timestamp* differs from the current time by more than WINDOW."""
    if not abs(time.time() - timestamp) <= WINDOW:
        raise WebhookRefused
