"""Events from Resend, which signs the id, the time and the body with Svix's HMAC scheme. Template-owned.

https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from hawkapi_mail import SignatureError, verify_resend

from app.mail_webhooks.bounces import BOUNCE, COMPLAINT, Event
from app.mail_webhooks.webhooks import MIN_KEY, Headers, Webhook, WebhookRefused, read


class _ResendBounce(msgspec.Struct):
    type: str = ""


class _ResendMail(msgspec.Struct):
    to: list[str] = []
    bounce: _ResendBounce | None = None


class _Resend(msgspec.Struct):
    type: str
    created_at: datetime
    data: _ResendMail


@dataclass(frozen=True)
class ResendWebhook(Webhook):
    """Each delivery attempt has a new signature, so a signature is accepted for only five minutes."""

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            key = base64.b64decode(self.secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if len(key) < MIN_KEY:
            raise ValueError(
                "RESEND_WEBHOOK_SECRET: must be the secret that Resend shows: whsec_…, with at least"
                f" {MIN_KEY} bytes in base64."
            )

    async def events(self, headers: Headers, body: bytes) -> list[Event]:
        signature = headers.get("svix-signature", "")
        if not signature.isascii():
            raise WebhookRefused
        try:
            verify_resend(
                signing_secret=self.secret,
                msg_id=headers.get("svix-id", ""),
                timestamp=headers.get("svix-timestamp", ""),
                signature=signature,
                payload=body,
            )
        except SignatureError:
            raise WebhookRefused from None
        event = read(body, _Resend)
        reason = _reason_of_resend(event)
        # An event with several recipients does not say which mailbox it is about.
        recipients = event.data.to if reason and len(event.data.to) == 1 else []
        return [Event(each, reason, event.created_at.astimezone(UTC)) for each in recipients]


def _reason_of_resend(event: _Resend) -> str:
    bounce = event.data.bounce
    if event.type == "email.bounced" and (bounce is None or bounce.type == "Permanent"):
        return BOUNCE
    return COMPLAINT if event.type == "email.complained" else ""
