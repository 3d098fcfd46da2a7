"""What the webhooks of all providers share. Template-owned.

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
"""Seconds for which a signature is accepted. A provider that repeats a request may send the same one."""


class WebhookRefused(ValueError):
    """The provider did not sign this request, or signed it too long ago, or it cannot be read."""

    code = "webhook_refused"

    def __init__(self) -> None:
        super().__init__(_("The request is not signed by the provider, or the signature is too old."))


class WebhookUnavailable(Exception):
    """The signature cannot be checked now. The provider tries again."""

    code = "webhook_unavailable"

    def __init__(self) -> None:
        super().__init__(_("The signature cannot be checked at the moment."))


class Webhook(Protocol):
    """A provider."""

    async def events(self, headers: Headers, body: bytes) -> list[Event]:
        """The bounces and complaints in a request.

        Raises:
            WebhookRefused: it must have no effect.
            WebhookUnavailable: it must be sent again.
        """
        ...


def read[T](body: bytes | str, kind: type[T]) -> T:
    """Decode JSON. Raises `WebhookRefused`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError):
        raise WebhookRefused from None


def require_recent(timestamp: float) -> None:
    """Refuse what was signed outside of WINDOW. Raises `WebhookRefused`."""
    if not abs(time.time() - timestamp) <= WINDOW:
        raise WebhookRefused
