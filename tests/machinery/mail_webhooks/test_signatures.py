"""What each provider signs, and which of its events mark an address."""

import asyncio
import base64
import hmac
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.limits import MemoryLimiter
from app.mail_webhooks import build_webhooks, ses, webhooks
from app.mail_webhooks.bounces import KEPT, BouncedMailbox, Event, clear, mark, marked_among
from app.mail_webhooks.webhooks import Webhook, WebhookRefused, WebhookUnavailable
from app.settings import SettingsError
from app.users import User
from tests.conftest import make_settings
from tests.mail_webhooks.conftest import KEY, SECRET
from tests.mail_webhooks.conftest import event as resend_event
from tests.mail_webhooks.conftest import signed as resend_headers

EMAIL = "ada@example.com"
NOW = datetime.now(UTC).replace(microsecond=0)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:bounces"
HOST = "https://sns.eu-central-1.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0a1b.pem"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = EC_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SENDGRID = "X-Twilio-Email-Event-Webhook-"


@dataclass(frozen=True)
class Request:
    """A signed request, before it is sent. *at*: the time of the signature."""

    provider: str
    content: Any
    at: float | None = None
    key: Any = None
    """The key to sign with, if not the provider's."""

    def signed(self) -> tuple[dict[str, str], bytes]:
        at = time.time() if self.at is None else self.at
        headers, body = globals()[f"_{self.provider}"](self.content, at, self.key)
        return {name.lower(): value for name, value in headers.items()}, body


def _resend(content: bytes, at: float, key: bytes | None) -> tuple[dict[str, str], bytes]:
    return resend_headers(content, at=at, key=key or KEY), content


def _sendgrid(content: Any, at: float, key: Any) -> tuple[dict[str, str], bytes]:
    timestamp, body = str(int(at)), json.dumps(content).encode()
    signature = (key or EC_KEY).sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    encoded = base64.b64encode(signature).decode()
    return {f"{SENDGRID}Timestamp": timestamp, f"{SENDGRID}Signature": encoded}, body


def _mailgun(content: Any, at: float, key: bytes | None) -> tuple[dict[str, str], bytes]:
    timestamp, token = str(int(at)), f"token of {time.time_ns()}"
    signature = hmac.new(key or KEY.hex().encode(), f"{timestamp}{token}".encode(), sha256).hexdigest()
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    return {}, json.dumps({"signature": signed, "event-data": content}).encode()


def _ses(content: Any, at: float, key: Any) -> tuple[dict[str, str], bytes]:
    moment = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    changes = content.pop("outside", {})
    message = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": json.dumps(content),
        "Timestamp": moment,
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
    } | changes
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if message["Type"] == "Notification":
        names = [each for each in names if each not in ("SubscribeURL", "Token")]
    text = "".join(f"{each}\n{message[each]}\n" for each in names if each in message)
    signature = (key or RSA_KEY).sign(text.encode(), padding.PKCS1v15(), SHA256())
    return {}, json.dumps(message | {"Signature": base64.b64encode(signature).decode()}).encode()


def ses_event(kind: str, **details: Any) -> dict[str, Any]:
    return {"notificationType": kind, kind.lower(): {"timestamp": NOW.isoformat()} | details}


def sendgrid(event: str, **details: Any) -> list[dict[str, Any]]:
    return [{"event": event, "email": EMAIL, "timestamp": int(NOW.timestamp()), **details}]


def mailgun(event: str, **details: Any) -> dict[str, Any]:
    return {"event": event, "recipient": EMAIL, "timestamp": NOW.timestamp(), **details}


RECIPIENTS = [{"emailAddress": EMAIL}]
HARD_BOUNCES = {
    "ses": ses_event("Bounce", bounceType="Permanent", bouncedRecipients=RECIPIENTS),
    "sendgrid": sendgrid("bounce", type="bounce"),
    "mailgun": mailgun("failed", severity="permanent", reason="suppress-bounce"),
    "resend": resend_event("email.bounced", bounce={"type": "Permanent"}),
}
COMPLAINTS = {
    "ses": ses_event("Complaint", complainedRecipients=RECIPIENTS),
    "sendgrid": sendgrid("spamreport"),
    "mailgun": mailgun("complained"),
    "resend": resend_event("email.complained"),
}
OTHERS = [
    ("ses", ses_event("Bounce", bounceType="Transient", bouncedRecipients=RECIPIENTS)),
    ("ses", ses_event("Delivery", recipients=[EMAIL])),
    ("sendgrid", sendgrid("bounce", type="blocked")),
    ("sendgrid", sendgrid("deferred")),
    ("sendgrid", sendgrid("delivered")),
    ("mailgun", mailgun("failed", severity="temporary", reason="bounce")),
    ("mailgun", mailgun("failed", severity="permanent", reason="generic")),
    ("mailgun", mailgun("delivered")),
]
EACH = pytest.mark.parametrize("provider", HARD_BOUNCES)


class SNS:
    """A stand-in for the SNS server that provides the certificate."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.is_away = False
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        lasting = builder.not_valid_before(NOW - timedelta(1)).not_valid_after(NOW + timedelta(1))
        self.certificate = lasting.public_key(RSA_KEY.public_key()).sign(RSA_KEY, SHA256())

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(str(request.url))
        if self.is_away:
            raise httpx.ConnectError("away")
        return httpx.Response(200, content=self.certificate.public_bytes(Encoding.PEM))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> SNS:
    server, client = SNS(), httpx.AsyncClient
    transport = httpx.MockTransport(server)
    monkeypatch.setattr(ses.httpx, "AsyncClient", lambda **options: client(transport=transport, **options))
    return server


@pytest.fixture
def all_webhooks(server: SNS) -> dict[str, Webhook]:
    settings = make_settings(
        ses_topic_arn=TOPIC,
        sendgrid_webhook_key=base64.b64encode(PUBLIC).decode(),
        mailgun_webhook_key=KEY.hex(),
        resend_webhook_secret=SECRET,
    )
    return build_webhooks(settings, MemoryLimiter())


type Receive = Callable[[Request], Any]


@pytest.fixture
def receive(all_webhooks: dict[str, Webhook]) -> Receive:
    """`await receive(request)`: the events in *request*."""

    async def receive(request: Request) -> list[Event]:
        return await all_webhooks[request.provider].events(*request.signed())

    return receive


# Which events count


@EACH
async def test_a_hard_bounce_counts(receive: Receive, provider: str) -> None:
    [event] = await receive(Request(provider, HARD_BOUNCES[provider]))

    assert (event.email, event.reason) == (EMAIL, "bounce")
    assert abs(event.at - NOW) < timedelta(seconds=5)


@EACH
async def test_a_complaint_counts(receive: Receive, provider: str) -> None:
    [event] = await receive(Request(provider, COMPLAINTS[provider]))

    assert (event.email, event.reason) == (EMAIL, "complaint")


@pytest.mark.parametrize(("provider", "content"), OTHERS)
async def test_a_temporary_failure_does_not_count(receive: Receive, provider: str, content: Any) -> None:
    assert await receive(Request(provider, content)) == []


# What is rejected


def others_key(provider: str) -> Any:
    return {"ses": OTHER_RSA_KEY, "sendgrid": ec.generate_private_key(ec.SECP256R1())}.get(provider, b"other")


@EACH
async def test_another_key_is_refused(receive: Receive, provider: str) -> None:
    with pytest.raises(WebhookRefused):
        await receive(Request(provider, HARD_BOUNCES[provider], key=others_key(provider)))


@EACH
@pytest.mark.parametrize("seconds", [-2 * webhooks.WINDOW, 2 * webhooks.WINDOW], ids=["old", "future"])
async def test_another_time_is_refused(receive: Receive, provider: str, seconds: int) -> None:
    with pytest.raises(WebhookRefused):
        await receive(Request(provider, HARD_BOUNCES[provider], at=time.time() + seconds))


@pytest.mark.parametrize("provider", ["ses", "sendgrid", "resend"])
async def test_a_changed_event_is_refused(all_webhooks: dict[str, Webhook], provider: str) -> None:
    headers, body = Request(provider, HARD_BOUNCES[provider]).signed()

    with pytest.raises(WebhookRefused):
        await all_webhooks[provider].events(headers, body.replace(b"ada@", b"eve@"))


async def test_a_mailgun_token_is_accepted_once(all_webhooks: dict[str, Webhook]) -> None:
    """The body is not signed, so anyone who has seen one request could send others."""
    headers, body = Request("mailgun", HARD_BOUNCES["mailgun"]).signed()
    await all_webhooks["mailgun"].events(headers, body)

    with pytest.raises(WebhookRefused):
        await all_webhooks["mailgun"].events(headers, body.replace(b"ada@", b"eve@"))


async def database_is_gone(*_: Any) -> None:
    raise OperationalError("COMMIT", {}, ConnectionError("gone"))


async def hangs(*_: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("step", "failure", "status"),
    [
        ("app.mail_webhooks.routes.mark", database_is_gone, 503),
        ("sqlalchemy.ext.asyncio.AsyncSession.commit", database_is_gone, 503),
        ("app.mail_webhooks.routes.mark", hangs, 504),
    ],
    ids=["statement", "commit", "timeout"],
)
async def test_a_mailgun_event_that_could_not_be_stored_is_accepted_again(
    other_client: Any, db: Any, step: str, failure: Any, status: int
) -> None:
    """Otherwise the event would be lost: Mailgun sends it again with the same token."""
    client = await other_client(mailgun_webhook_key=KEY.hex(), request_timeout=1)
    _, body = Request("mailgun", HARD_BOUNCES["mailgun"]).signed()
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(step, failure)
        failed = await client.post("/mail/webhooks/mailgun", content=body)

    statuses = [(await client.post("/mail/webhooks/mailgun", content=body)).status_code for _ in range(2)]

    assert (failed.status_code, statuses) == (status, [200, 403])
    async with db.session(commit=False) as session:
        assert await marked_among(session, [EMAIL]) == {EMAIL}


@EACH
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"a": 1}'])
async def test_nonsense_is_refused(all_webhooks: dict[str, Webhook], provider: str, body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        await all_webhooks[provider].events({}, body)


@pytest.mark.parametrize("timestamp", ["", "x", "nan", "inf", "-inf", "1e400", "٣"])
@pytest.mark.parametrize("provider", ["sendgrid", "resend"])
async def test_an_invalid_timestamp_is_refused(
    all_webhooks: dict[str, Webhook], provider: str, timestamp: str
) -> None:
    headers, body = Request(provider, HARD_BOUNCES[provider]).signed()
    name = next(each for each in headers if each.endswith("timestamp"))
    if provider == "sendgrid":
        signature = EC_KEY.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        headers[f"{SENDGRID}Signature".lower()] = base64.b64encode(signature).decode()

    with pytest.raises(WebhookRefused):
        await all_webhooks[provider].events(headers | {name: timestamp}, body)


@pytest.mark.parametrize(
    "signature", [{"timestamp": "x"}, {"signature": "é"}, {"signature": ""}, {"token": "another"}]
)
async def test_a_changed_mailgun_signature_is_refused(
    all_webhooks: dict[str, Webhook], signature: dict[str, str]
) -> None:
    _, body = Request("mailgun", HARD_BOUNCES["mailgun"]).signed()
    request = json.loads(body)
    request["signature"] |= signature

    with pytest.raises(WebhookRefused):
        await all_webhooks["mailgun"].events({}, json.dumps(request).encode())


# Amazon SNS


@pytest.mark.parametrize(
    "outside",
    [
        {"TopicArn": "arn:aws:sns:eu-central-1:999999999999:bounces"},
        {"SigningCertURL": "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem"},
        {
            "SigningCertURL": "https://sns.eu-central-1.amazonaws.com.eve.example/SimpleNotificationService-0.pem"
        },
        {"SigningCertURL": "https://eve.example/SimpleNotificationService-0a1b.pem"},
        {"SigningCertURL": f"{HOST}/eve.pem"},
        {"SigningCertURL": f"{CERTIFICATE}\n"},
        {"SignatureVersion": "1"},
    ],
    ids=["topic", "plain HTTP", "similar host", "other host", "other path", "line break", "SHA-1"],
)
async def test_nothing_else_is_fetched(receive: Receive, server: SNS, outside: dict[str, str]) -> None:
    """Otherwise anyone could make the server send requests (CWE-918)."""
    with pytest.raises(WebhookRefused):
        await receive(Request("ses", {**HARD_BOUNCES["ses"], "outside": outside}))

    assert server.requests == []


async def test_the_certificate_is_fetched_once(receive: Receive, server: SNS) -> None:
    for _ in range(3):
        await receive(Request("ses", {**HARD_BOUNCES["ses"]}))

    assert server.requests == [CERTIFICATE]


async def test_an_event_can_be_sent_again_if_the_certificate_cannot_be_fetched(
    receive: Receive, server: SNS
) -> None:
    server.is_away = True
    with pytest.raises(WebhookUnavailable):
        await receive(Request("ses", {**HARD_BOUNCES["ses"]}))
    server.is_away = False

    assert await receive(Request("ses", {**HARD_BOUNCES["ses"]}))


CONFIRM = f"{HOST}/?Action=ConfirmSubscription&Token=t"
SUBSCRIPTION = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": CONFIRM}


async def test_the_subscription_to_our_topic_is_confirmed(receive: Receive, server: SNS) -> None:
    assert await receive(Request("ses", {"outside": SUBSCRIPTION})) == []

    assert server.requests == [CERTIFICATE, CONFIRM]


@pytest.mark.parametrize(
    "change",
    [
        {"outside": SUBSCRIPTION | {"SubscribeURL": "https://eve.example/"}},
        {"outside": SUBSCRIPTION | {"SubscribeURL": f"{HOST}.eve.example/"}},
    ],
)
async def test_no_other_url_is_opened(receive: Receive, server: SNS, change: dict[str, Any]) -> None:
    with pytest.raises(WebhookRefused):
        await receive(Request("ses", change))

    assert server.requests == [CERTIFICATE]


async def test_an_unsigned_subscription_is_not_confirmed(receive: Receive, server: SNS) -> None:
    with pytest.raises(WebhookRefused):
        await receive(Request("ses", {"outside": dict(SUBSCRIPTION)}, key=OTHER_RSA_KEY))

    assert CONFIRM not in server.requests


# Settings


@pytest.mark.parametrize(
    "key",
    [
        {"sendgrid_webhook_key": "x"},
        {
            "sendgrid_webhook_key": base64.b64encode(
                RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ).decode()
        },
        {"resend_webhook_secret": "whsec_?"},
        {"resend_webhook_secret": "whsec_"},
        {"resend_webhook_secret": f"whsec_{base64.b64encode(KEY[:15]).decode()}"},
        {"mailgun_webhook_key": "x"},
        {"mailgun_webhook_key": KEY.hex()[:15]},
    ],
    ids=["nonsense", "RSA", "not base64", "empty", "short", "one character", "15 characters"],
)
async def test_an_unreadable_or_short_key_is_named_at_startup(
    build_app: Callable[..., Any], key: dict[str, str]
) -> None:
    [(name, value)] = key.items()

    with pytest.raises(SettingsError, match=f"^{name.upper()}: must be the ") as refused:
        build_app(**key)

    assert len(value) < 8 or value not in str(refused.value)


@pytest.mark.parametrize(
    "key",
    [
        {"resend_webhook_secret": f"whsec_{base64.b64encode(KEY[:16]).decode()}"},
        {"mailgun_webhook_key": KEY.hex()[:16]},
    ],
    ids=["Resend", "Mailgun"],
)
async def test_a_key_of_16_bytes_is_accepted(build_app: Callable[..., Any], key: dict[str, str]) -> None:
    build_app(**key)


# Marks


async def test_simultaneous_events_for_one_mailbox_mark_it_once(db: Any) -> None:
    events = [Event(EMAIL, "bounce", NOW), Event(EMAIL.upper(), "complaint", NOW)]

    for _ in range(2):
        async with db.session() as session:
            await mark(session, events)

    async with db.session(commit=False) as session:
        [row] = await session.scalars(select(BouncedMailbox))
        assert await marked_among(session, [EMAIL.upper(), "grace@example.com"]) == {EMAIL.upper()}
    assert (row.email, row.reason, row.cleared_at) == (EMAIL, "bounce", None)


async def test_an_old_mark_without_an_account_is_removed(db: Any, app: Any, make_user: Any) -> None:
    await make_user(EMAIL)
    old, new = NOW - KEPT - timedelta(days=1), NOW - KEPT + timedelta(days=1)
    times = {EMAIL: old, "old@example.com": old, "new@example.com": new}
    async with db.session() as session:
        await mark(session, [Event(email, "bounce", at) for email, at in times.items()])

    [task] = [each for each in app.state.tasks if each.name == "remove old marks of mailboxes"]
    await task.do()

    async with db.session(commit=False) as session:
        assert await marked_among(session, times) == {EMAIL, "new@example.com"}


async def test_the_address_is_not_logged(db: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "app")

    async with db.session() as session:
        await mark(session, [Event(EMAIL, "bounce", NOW)])

    assert "a mailbox no longer receives e-mail (bounce)" in caplog.messages
    assert EMAIL not in "".join(f"{each.getMessage()}{vars(each)}" for each in caplog.records)


@pytest.mark.parametrize(
    ("hook", "details"),
    [
        ("on_after_verify", ()),
        ("on_after_reset_password", ()),
        ("on_after_change_email", ("old@example.com",)),
    ],
)
async def test_each_link_clears_the_mailbox(
    db: Any, manager: Any, make_user: Any, hook: str, details: tuple[str, ...]
) -> None:
    user = await make_user(EMAIL)
    async with db.session() as session:
        await mark(session, [Event(EMAIL, "bounce", NOW)])

    async with db.session() as session:
        await getattr(manager, hook)(await session.get_one(User, user.id), *details)

    async with db.session() as session:
        assert await marked_among(session, [EMAIL]) == set()
        assert not await clear(session, EMAIL)
