"""Events from Amazon SES, delivered by Amazon SNS. Template-owned.

SNS signs each message and includes the certificate's URL. Anyone with an AWS account can have SNS sign
messages, so only messages from our topic are accepted. SHA-1 signatures are rejected.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import logging
import re
from datetime import UTC, datetime

import httpx
import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import field

from app.mail_webhooks.bounces import BOUNCE, COMPLAINT, Event
from app.mail_webhooks.webhooks import (
    Headers,
    Webhook,
    WebhookRefused,
    WebhookUnavailable,
    read,
    require_recent,
)

logger = logging.getLogger("app.mail")

TIMEOUT = 5.0
"""Time limit for each step of a request to SNS, in seconds."""


class _Message(msgspec.Struct, rename="pascal"):
    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: datetime
    signature_version: str
    signature: str
    certificate: str = field(name="SigningCertURL")
    subject: str | None = None
    token: str = ""
    subscribe: str = field(default="", name="SubscribeURL")


class _Recipient(msgspec.Struct, rename="camel"):
    email_address: str


class _Bounce(msgspec.Struct, rename="camel"):
    bounce_type: str
    timestamp: datetime
    bounced_recipients: list[_Recipient] = []


class _Complaint(msgspec.Struct, rename="camel"):
    timestamp: datetime
    complained_recipients: list[_Recipient] = []


class _Notification(msgspec.Struct):
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None


class SESWebhook(Webhook):
    """The topic to which SES publishes bounces and complaints."""

    def __init__(self, topic: str) -> None:
        partition, region = topic.split(":")[1], topic.split(":")[3]
        self._topic = topic
        self._host = f"https://sns.{region}.amazonaws.com" + (".cn" if partition == "aws-cn" else "")
        self._keys: dict[str, rsa.RSAPublicKey] = {}

    async def events(self, headers: Headers, body: bytes) -> list[Event]:
        message = read(body, _Message)
        if message.topic_arn != self._topic:
            raise WebhookRefused
        if message.signature_version != "2":
            logger.error("the SNS topic for SES signs with SHA-1; set its SignatureVersion attribute to 2")
            raise WebhookRefused
        key = await self._key(message.certificate)
        try:
            signature = base64.b64decode(message.signature)
            key.verify(signature, _signed_text(message, body), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            raise WebhookRefused from None
        require_recent(message.timestamp.timestamp())
        if message.type == "SubscriptionConfirmation":
            await self._confirm(message)
            return []
        return _events_in(message.message) if message.type == "Notification" else []

    async def _key(self, url: str) -> rsa.RSAPublicKey:
        if not re.fullmatch(re.escape(self._host) + r"/SimpleNotificationService-[0-9a-f]+\.pem", url):
            raise WebhookRefused
        if url not in self._keys:
            key = x509.load_pem_x509_certificate(await _get(url)).public_key()
            if not isinstance(key, rsa.RSAPublicKey):
                raise WebhookRefused
            self._keys[url] = key
        return self._keys[url]

    async def _confirm(self, message: _Message) -> None:
        """Confirm the subscription to our topic."""
        if not message.subscribe.startswith(f"{self._host}/"):
            raise WebhookRefused
        await _get(message.subscribe)
        logger.info("subscribed to the SNS topic for SES")


def _signed_text(message: _Message, body: bytes) -> bytes:
    sent: dict[str, str] = msgspec.json.decode(body)
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if message.type == "Notification":
        names = [each for each in names if each not in ("SubscribeURL", "Token")]
    else:
        names.remove("Subject")
    return "".join(f"{name}\n{sent[name]}\n" for name in names if sent.get(name) is not None).encode()


def _events_in(text: str) -> list[Event]:
    notification = read(text, _Notification)
    bounce, complaint = notification.bounce, notification.complaint
    events: list[Event] = []
    if bounce is not None and bounce.bounce_type == "Permanent":
        at = bounce.timestamp.astimezone(UTC)
        events += [Event(each.email_address, BOUNCE, at) for each in bounce.bounced_recipients]
    if complaint is not None:
        at = complaint.timestamp.astimezone(UTC)
        events += [Event(each.email_address, COMPLAINT, at) for each in complaint.complained_recipients]
    return events


async def _get(url: str) -> bytes:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            response = await client.get(url)
            response.raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("SNS cannot be reached (%s)", type(error).__name__)
        raise WebhookUnavailable from error
    return response.content
