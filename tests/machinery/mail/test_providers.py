"""The providers' HTTP APIs: what is sent, which rejections are final, and what is never logged."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Protocol

import pytest
from hawkapi_mail import Attachment, Backend, EmailMessage, SendError
from hawkapi_sqlalchemy import Database
from pydantic import SecretStr
from sqlalchemy import select

from app.mail import Misconfigured, OutboxMessage, Undeliverable, Worker, build_backend, enqueue, providers
from app.settings import Settings

LINK = "https://shop.example/users/verify/t0ken"
KEY = "SG.k3y-of-the-provider"
PROVIDERS = ["ses", "sendgrid", "mailgun", "resend"]
BY_HTTP = ["sendgrid", "mailgun", "resend"]
SECRET = SecretStr(KEY)
ACCOUNT = {
    "aws_region": "eu-central-1",
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": SECRET,
    "sendgrid_api_key": SECRET,
    "mailgun_api_key": SECRET,
    "mailgun_domain": "mg.shop.example",
    "resend_api_key": SECRET,
}
REMEDIES = {
    "ses": "AWS_REGION",
    "sendgrid": "SENDGRID_API_KEY",
    "mailgun": "MAILGUN_API_KEY",
    "resend": "RESEND_API_KEY",
}


def mail(**parts: str) -> EmailMessage:
    whole = {
        "subject": "Grüße",
        "sender": "The Shop <us@shop.example>",
        "to": "ada@example.com",
        "text": LINK,
    }
    return EmailMessage.build(**(whole | parts), html=f'<a href="{LINK}">Confirm</a>')


@dataclass
class Provider:
    """A server that accepts requests as a provider does, and replies as the test tells it to."""

    status: int = 200
    body: bytes = b"{}"
    does: str = "reply"
    """How it responds: "reply", "hang", or "drop", which closes the connection without a reply."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """The path, the headers with their names in lower case, and the body of each request."""
    url: str = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one request. Returns whether the connection stays open."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((lines[0].split()[1], headers, body))
        if self.does == "hang":
            await reader.read()
        if self.does == "reply":
            fields = f"Content-Type: application/json\r\nContent-Length: {len(self.body)}"
            writer.write(f"HTTP/1.1 {self.status} Status\r\n{fields}\r\n\r\n".encode() + self.body)
        return self.does == "reply"


@pytest.fixture(scope="module")
async def listening() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.talk, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield provider
    server.close()


@pytest.fixture
def provider(listening: Provider) -> Provider:
    """The server, which has received nothing yet and accepts everything."""
    listening.status, listening.body, listening.does, listening.requests = 200, b"{}", "reply", []
    return listening


class Connect(Protocol):
    def __call__(self, name: str, url: str = ...) -> Backend: ...


@pytest.fixture(scope="module")
async def connect(settings: Settings, listening: Provider) -> AsyncIterator[Connect]:
    """`connect("ses")`: the backend that MAIL_BACKEND=ses chooses, connected to the server."""
    built: dict[tuple[str, str, float], Backend] = {}

    def connect(name: str, url: str = listening.url) -> Backend:
        # boto3 takes half a second to start.
        key = (name, url, providers.TIMEOUT)
        if key not in built:
            backend = build_backend(settings.model_copy(update=ACCOUNT | {"mail_backend": name}))
            assert isinstance(backend, providers.HTTPBackend | providers.SESBackend)
            backend.url = url if backend.url is None else f"{url}/{backend.url.split('/', 3)[3]}"
            built[key] = backend
        return built[key]

    yield connect
    for backend in built.values():
        await backend.close()


# What is sent


def request_of(provider: Provider) -> tuple[str, dict[str, str], bytes]:
    [request] = provider.requests
    return request


def assert_is_the_mail(mime: Message, sent: EmailMessage) -> None:
    assert mime["From"] == "The Shop <us@shop.example>"
    assert mime["To"] == "ada@example.com"
    assert mime["Message-ID"] == sent.message_id
    text, html = mime.get_payload()
    assert text.get_payload(decode=True).decode().strip() == LINK
    assert LINK in html.get_payload(decode=True).decode()


async def test_sendgrid_gets_the_mail(connect: Connect, provider: Provider) -> None:
    provider.status, provider.body = 202, b""
    message = mail()
    message.headers = {"Date": "today", "Auto-Submitted": "auto-generated"}

    await connect("sendgrid").send(message)

    path, headers, body = request_of(provider)
    sent = json.loads(body)
    assert path == "/v3/mail/send"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert sent["personalizations"] == [{"to": [{"email": "ada@example.com"}]}]
    assert sent["from"] == {"email": "us@shop.example", "name": "The Shop"}
    assert sent["subject"] == "Grüße"
    assert [each["type"] for each in sent["content"]] == ["text/plain", "text/html"]
    assert sent["content"][0]["value"] == LINK
    assert sent["headers"] == {"Message-ID": message.message_id, "Auto-Submitted": "auto-generated"}
    assert sent["tracking_settings"]["click_tracking"] == {"enable": False}


async def test_resend_gets_the_mail(connect: Connect, provider: Provider) -> None:
    message = mail()

    await connect("resend").send(message)

    path, headers, body = request_of(provider)
    sent = json.loads(body)
    assert path == "/emails"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert sent["from"] == "The Shop <us@shop.example>"
    assert (sent["to"], sent["subject"], sent["text"]) == (["ada@example.com"], "Grüße", LINK)
    assert LINK in sent["html"]


async def test_resend_recognizes_a_second_attempt(connect: Connect, provider: Provider) -> None:
    backend, message = connect("resend"), mail()

    await backend.send(message)
    await backend.send(message)
    await backend.send(mail())

    first, second, other = (headers["idempotency-key"] for _, headers, _ in provider.requests)
    assert first == second != other
    assert provider.requests[0][2] == provider.requests[1][2]


async def test_mailgun_gets_the_mail(connect: Connect, provider: Provider) -> None:
    message = mail()

    await connect("mailgun").send(message)

    path, headers, body = request_of(provider)
    form = message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
    assert path == "/v3/mg.shop.example/messages.mime"
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == f"api:{KEY}"
    assert parts["to"].get_payload() == "ada@example.com"
    assert parts["o:tracking"].get_payload() == "no"
    assert_is_the_mail(parts["message"].get_payload(0), message)


@pytest.mark.parametrize(("region", "host"), [("us", "api.mailgun.net"), ("eu", "api.eu.mailgun.net")])
async def test_mailgun_has_two_regions(settings: Settings, region: str, host: str) -> None:
    backend = providers.mailgun(settings.model_copy(update=ACCOUNT | {"mailgun_region": region}))

    assert backend.url == f"https://{host}/v3/mg.shop.example/messages.mime"


async def test_ses_gets_the_mail(connect: Connect, provider: Provider) -> None:
    message = mail(bcc="Eve <eve@example.com>")

    await connect("ses").send(message)

    path, headers, body = request_of(provider)
    sent = json.loads(body)
    assert path == "/v2/email/outbound-emails"
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]
    assert "/eu-central-1/ses/" in headers["authorization"]
    assert sent["Destination"]["ToAddresses"] == ["ada@example.com", "eve@example.com"]
    mime = base64.b64decode(sent["Content"]["Raw"]["Data"])
    assert b"eve@example.com" not in mime
    assert_is_the_mail(message_from_bytes(mime), message)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_attachments_are_sent(connect: Connect, provider: Provider, name: str) -> None:
    message = mail()
    message.attachments = [Attachment("invoice.pdf", b"%PDF-1.7", "application/pdf")]

    await connect(name).send(message)

    _, _, body = request_of(provider)
    if name == "ses":
        body = base64.b64decode(json.loads(body)["Content"]["Raw"]["Data"])
    assert b"invoice.pdf" in body
    assert base64.b64encode(b"%PDF-1.7") in body


# Which rejections are final


@pytest.mark.parametrize("name", BY_HTTP)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((each, Undeliverable) for each in (400, 409, 413, 422, 451)),
        *((each, Misconfigured) for each in (401, 402, 403, 404)),
        *((each, SendError) for each in (307, 408, 425, 429, 500, 502, 503, 504)),
    ],
)
async def test_only_some_refusals_are_final(
    connect: Connect, provider: Provider, name: str, status: int, kind: type[SendError]
) -> None:
    provider.status = status

    with pytest.raises(SendError) as caught:
        await connect(name).send(mail())

    assert type(caught.value) is kind
    assert f"{name}: {status}" in str(caught.value)
    assert (REMEDIES[name] in str(caught.value)) is (kind is Misconfigured)


@pytest.mark.parametrize(
    ("status", "code", "text", "kind"),
    [
        (400, "BadRequestException", "Missing final '@domain'", Undeliverable),
        (400, "MessageRejected", "Email contains malware", Undeliverable),
        (400, "MessageRejected", "Email address is not verified: us@shop.example", Misconfigured),
        (400, "AccountSuspendedException", "", Misconfigured),
        (400, "SendingPausedException", "", Misconfigured),
        (400, "MailFromDomainNotVerifiedException", "", Misconfigured),
        (403, "InvalidClientTokenId", "The security token is invalid", Misconfigured),
        (403, "AccessDeniedException", "not authorized to perform ses:SendEmail", Misconfigured),
        (400, "ThrottlingException", "Rate exceeded", SendError),
        (429, "TooManyRequestsException", "", SendError),
        (500, "InternalFailure", "", SendError),
        (503, "ServiceUnavailable", "", SendError),
    ],
)
async def test_only_some_refusals_of_ses_are_final(
    connect: Connect, provider: Provider, status: int, code: str, text: str, kind: type[SendError]
) -> None:
    provider.status, provider.body = status, json.dumps({"__type": code, "message": text}).encode()

    with pytest.raises(SendError) as caught:
        await connect("ses").send(mail())

    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"ses: {status} {code}")
    assert (REMEDIES["ses"] in str(caught.value)) is (kind is Misconfigured)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("concurrent_idempotent_requests", SendError), ("invalid_idempotent_request", Undeliverable)],
)
async def test_resend_asks_to_wait_for_an_attempt_in_progress(
    connect: Connect, provider: Provider, name: str, kind: type[SendError]
) -> None:
    provider.status, provider.body = 409, json.dumps({"name": name, "message": "Same key"}).encode()

    with pytest.raises(SendError) as caught:
        await connect("resend").send(mail())

    assert type(caught.value) is kind
    assert str(caught.value) == f"resend: 409 {name}"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("does", ["hang", "drop"])
async def test_a_lost_response_is_not_final(
    connect: Connect, provider: Provider, name: str, does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if does == "hang":
        monkeypatch.setattr(providers, "TIMEOUT", 0.5)
    provider.does = does

    with pytest.raises(SendError) as caught:
        await connect(name).send(mail())

    assert type(caught.value) is SendError
    # No library retries by itself.
    assert len(provider.requests) == 1


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_unreachable_provider_is_not_final(connect: Connect, name: str) -> None:
    with pytest.raises(SendError, match="Connect") as caught:
        await connect(name, "http://127.0.0.1:1").send(mail())

    assert type(caught.value) is SendError


async def test_ses_without_credentials_is_a_configuration_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    backend = providers.SESBackend(settings.model_copy(update={"aws_region": "eu-central-1"}))

    with pytest.raises(Misconfigured, match="NoCredentialsError; check AWS_REGION"):
        await backend.send(mail())


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    "parts",
    [{"subject": "Hello\r\nBcc: all@example.com"}, {"text": "\ud800"}, {"to": ""}, {"sender": ""}],
    ids=["line break in a header", "lone surrogate", "no recipient", "no sender"],
)
async def test_an_unserializable_mail_is_final(
    connect: Connect, provider: Provider, name: str, parts: dict[str, str]
) -> None:
    with pytest.raises(Undeliverable):
        await connect(name).send(mail(**parts))

    assert provider.requests == []


# In the worker


@pytest.mark.parametrize(
    ("http_status", "status", "error"),
    [
        (422, "dead", "resend: 422"),
        (429, "pending", "resend: 429"),
        (401, "pending", "resend: 401; check RESEND_API_KEY"),
    ],
)
async def test_the_worker_sets_aside_only_what_is_final(
    db: Database,
    connect: Connect,
    provider: Provider,
    caplog: pytest.LogCaptureFixture,
    http_status: int,
    status: str,
    error: str,
) -> None:
    provider.status = http_status
    async with db.session() as session:
        enqueue(session, mail())

    await Worker(db, connect("resend")).run_once()

    async with db.session(commit=False) as session:
        (row,) = await session.scalars(select(OutboxMessage))
    assert (row.status, row.attempts) == (status, 1)
    assert row.last_error.startswith(error)
    faults = [each for each in caplog.messages if each.startswith("no e-mail can be sent: ")]
    assert bool(faults) is (http_status == 401)
    assert all("RESEND_API_KEY" in each for each in faults)


# Secrets


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_no_secret_is_logged_or_shown(
    connect: Connect, provider: Provider, caplog: pytest.LogCaptureFixture, name: str, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    said = f"ada@example.com {LINK} {KEY}"
    provider.status = status
    provider.body = json.dumps({"__type": said, "name": said, "message": said, "MessageId": "1"}).encode()
    backend = connect(name)

    error = ""
    try:
        await backend.send(mail())
    except SendError as raised:
        error = str(raised)

    assert bool(error) is (status != 200)
    logged = " ".join(each.getMessage() for each in caplog.records)
    for secret in (KEY, "t0ken", "ada@example.com"):
        assert secret not in error + repr(backend) + logged
