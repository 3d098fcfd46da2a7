"""Events from Mailgun, which signs only the time and a random token, using HMAC. Template-owned.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from hawkapi_mail import SignatureError, verify_mailgun

from app.limits import Limiter, Rate
from app.mail_webhooks.bounces import BOUNCE, COMPLAINT, Event
from app.mail_webhooks.webhooks import WINDOW, Headers, Timestamp, WebhookRefused, read


class _MailgunSignature(msgspec.Struct):
    timestamp: str
    token: str
    signature: str


class _MailgunEvent(msgspec.Struct):
    event: str
    recipient: str = ""
    timestamp: Timestamp = 0
    severity: str = ""
    reason: str = ""


class _Mailgun(msgspec.Struct, rename="kebab"):
    signature: _MailgunSignature
    event_data: _MailgunEvent


@dataclass(frozen=True)
class MailgunWebhook:
    """The event itself is not signed, so each token is accepted once."""

    key: str = field(repr=False)
    limiter: Limiter = field(repr=False)

    async def events(self, headers: Headers, body: bytes) -> list[Event]:
        request = read(body, _Mailgun)
        signed, event = request.signature, request.event_data
        if not signed.signature.isascii():
            raise WebhookRefused
        try:
            verify_mailgun(
                signing_key=self.key,
                timestamp=signed.timestamp,
                token=signed.token,
                signature=signed.signature,
                max_age_seconds=WINDOW,
            )
        except SignatureError:
            raise WebhookRefused from None
        if await self.limiter.acquire(f"mailgun:{signed.token}", Rate(1, 2 * WINDOW)):
            raise WebhookRefused
        reason = _reason_of_mailgun(event)
        return (
            [Event(event.recipient, reason, datetime.fromtimestamp(event.timestamp, UTC))] if reason else []
        )


def _reason_of_mailgun(event: _MailgunEvent) -> str:
    # Mailgun also reports a permanent failure if a server rejects an e-mail's content. The reason is then
    # generic.
    if event.event == "failed" and event.severity == "permanent" and "bounce" in event.reason:
        return BOUNCE
    return COMPLAINT if event.event == "complained" else ""
