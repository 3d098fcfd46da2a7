"""Events from SendGrid, which signs the timestamp and the body with ECDSA. Template-owned.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import base64
from datetime import UTC, datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from app.mail_webhooks.bounces import BOUNCE, COMPLAINT, Event
from app.mail_webhooks.webhooks import Headers, Timestamp, Webhook, WebhookRefused, read, require_recent


class _SendGridEvent(msgspec.Struct):
    event: str
    email: str = ""
    timestamp: Timestamp = 0
    type: str = ""
    """The type of a bounce: either `bounce` (permanent) or `blocked` (temporary)."""


class SendGridWebhook(Webhook):
    """SendGrid's event webhook. Its security settings show the public key."""

    def __init__(self, public_key: str) -> None:
        try:
            key = load_der_public_key(base64.b64decode(public_key, validate=True))
        except ValueError:
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("SENDGRID_WEBHOOK_KEY: must be the verification key that SendGrid shows.")
        self._key = key

    async def events(self, headers: Headers, body: bytes) -> list[Event]:
        timestamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
        signature = headers.get("x-twilio-email-event-webhook-signature", "")
        try:
            signed = timestamp.encode() + body
            self._key.verify(base64.b64decode(signature), signed, ec.ECDSA(SHA256()))
            require_recent(float(timestamp))
        except (InvalidSignature, ValueError):
            raise WebhookRefused from None
        return [
            Event(each.email, reason, datetime.fromtimestamp(each.timestamp, UTC))
            for each in read(body, list[_SendGridEvent])
            if (reason := _reason_of_sendgrid(each))
        ]


def _reason_of_sendgrid(event: _SendGridEvent) -> str:
    if event.event == "bounce" and event.type != "blocked":
        return BOUNCE
    return COMPLAINT if event.event == "spamreport" else ""
