"""Events from Mailgun, which signs only the time and a random token, using HMAC. Template-owned.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from hawkapi_mail import SignatureError, verify_mailgun

from app.limits import Limiter, Rate
from app.mail_webhooks.bounces import BOUNCE, COMPLAINT, Event
from app.mail_webhooks.webhooks import (
    MIN_KEY,
    WINDOW,
    Headers,
    Timestamp,
    Webhook,
    WebhookRefused,
    read,
)

_ONCE = Rate(1, 2 * WINDOW)
"""The period outlasts a token's validity, because the token's time may be up to WINDOW in the future."""


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
class MailgunWebhook(Webhook):
    """The event itself is not signed, so each token is accepted only once."""

    key: str = field(repr=False)
    limiter: Limiter = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < MIN_KEY:
            raise ValueError(
                "MAILGUN_WEBHOOK_KEY: must be the webhook signing key that Mailgun shows, with at least"
                f" {MIN_KEY} characters."
            )

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
        if await self.limiter.acquire(_key_of(signed), _ONCE):
            raise WebhookRefused
        reason = _reason_of_mailgun(event)
        return (
            [Event(event.recipient, reason, datetime.fromtimestamp(event.timestamp, UTC))] if reason else []
        )

    async def accept_again(self, body: bytes) -> None:
        await self.limiter.refund(_key_of(read(body, _Mailgun).signature), _ONCE)


def _key_of(signed: _MailgunSignature) -> str:
    return f"mailgun:{signed.token}"


def _reason_of_mailgun(event: _MailgunEvent) -> str:
    # Mailgun also reports a permanent failure if a server rejects an e-mail's content. The reason is then
    # generic.
    if event.event == "failed" and event.severity == "permanent" and "bounce" in event.reason:
        return BOUNCE
    return COMPLAINT if event.event == "complained" else ""
