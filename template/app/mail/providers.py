"""Mail providers with an HTTP API: Amazon SES, SendGrid, Mailgun and Resend.

Template-owned; change the timeout at the top as you like. hawkapi-mail's backends for these providers are not
used. They do not indicate which rejections are final, the SES backend blocks the event loop and automatically
resends an e-mail after a timeout, and the SendGrid backend rejects a sender with a name.

SES, SendGrid and Mailgun can send an e-mail twice if the connection breaks after they accept it. For a day,
Resend recognizes duplicates by their idempotency key.
"""

import asyncio
import base64
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parseaddr
from functools import cached_property
from importlib import import_module
from typing import Any

import httpx
from hawkapi_mail import EmailMessage, SendError, SendResult
from pydantic import SecretStr

from app.mail.send_errors import Misconfigured, Undeliverable
from app.settings import Settings

TIMEOUT = 10.0
"""Time limit for connecting to a provider and for each part of its response, in seconds."""

_OUR_ACCOUNT = frozenset({401, 402, 403, 404})
"""Statuses that concern our API key, billing, sender address or domain, not the e-mail itself."""
_PASSING = frozenset({408, 425, 429})
"""Client errors that are temporary (RFC 9110, 15.5.9; RFC 8470; RFC 6585)."""


@dataclass
class HTTPBackend:
    """Posts e-mails to a provider."""

    name: str
    url: str
    arguments: Callable[[EmailMessage], dict[str, Any]]
    """Returns the arguments to pass to `httpx` to send an e-mail. Raises ValueError if the e-mail cannot be
    encoded."""
    remedy: str
    """What to check if the provider rejects the account."""
    client: httpx.AsyncClient = field(repr=False)

    async def send(self, message: EmailMessage) -> SendResult:
        _require_addresses(message)
        try:
            message.validate()
            request = self.client.build_request("POST", self.url, **self.arguments(message))
        except ValueError as error:
            raise _unwritable(error) from error
        try:
            response = await self.client.send(request)
        except httpx.ConnectError as error:
            # The error's message names the cause. It cannot quote the e-mail, which has not been sent yet.
            raise SendError(f"{self.name}: ConnectError: {error}") from error
        except httpx.HTTPError as error:
            raise SendError(f"{self.name}: {type(error).__name__}") from error
        if not response.is_success:
            raise self._refusal(response)
        return SendResult(message_id=message.message_id, provider=self.name)

    def _refusal(self, response: httpx.Response) -> SendError:
        status, reason = response.status_code, _reason(response)
        said = f"{self.name}: {status} {reason}".rstrip()
        if status in _OUR_ACCOUNT:
            return Misconfigured(f"{said}; check {self.remedy}")
        # This reason means that Resend is still handling an earlier attempt whose connection was lost.
        is_passing = status in _PASSING or reason == "concurrent_idempotent_requests"
        return Undeliverable(said) if 400 <= status < 500 and not is_passing else SendError(said)

    async def close(self) -> None:
        await self.client.aclose()


def _reason(response: httpx.Response) -> str:
    """Resend's name for the error. Error messages may quote an address, so they are not used."""
    try:
        name = response.json()["name"]
    except (ValueError, LookupError, TypeError):
        return ""
    return name if isinstance(name, str) and re.fullmatch(r"[a-z_]{1,60}", name) else ""


# SendGrid


def sendgrid(settings: Settings) -> HTTPBackend:
    """https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""
    return HTTPBackend(
        name="sendgrid",
        url="https://api.sendgrid.com/v3/mail/send",
        arguments=_for_sendgrid,
        remedy="SENDGRID_API_KEY, and that SendGrid has verified MAIL_SENDER",
        client=_client_with_token(settings.sendgrid_api_key),
    )


def _for_sendgrid(message: EmailMessage) -> dict[str, Any]:
    groups = {"to": message.to, "cc": message.cc, "bcc": message.bcc}
    texts = {"text/plain": message.text_body, "text/html": message.html_body}
    mail: dict[str, Any] = {
        "personalizations": [
            {name: [_named(each) for each in group] for name, group in groups.items() if group}
        ],
        "from": _named(message.sender),
        "subject": message.subject,
        "content": [{"type": kind, "value": text} for kind, text in texts.items() if text],
        "headers": _own_headers(message) | {"Message-ID": message.message_id},
        # Click tracking would send the secret links in e-mails through another server.
        "tracking_settings": {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}},
    }
    if message.reply_to:
        mail["reply_to_list"] = [_named(each) for each in message.reply_to]
    if message.attachments:
        mail["attachments"] = [
            {
                "filename": each.filename,
                "content": base64.b64encode(each.content).decode(),
                "type": each.mime_type,
                "disposition": "inline" if each.inline else "attachment",
                "content_id": (each.content_id or each.filename).strip("<>"),
            }
            for each in message.attachments
        ]
    return {"json": mail}


def _named(address: str) -> dict[str, str]:
    name, email = parseaddr(address)
    return {"email": email or address, "name": name} if name else {"email": email or address}


# Resend


def resend(settings: Settings) -> HTTPBackend:
    """https://resend.com/docs/api-reference/emails/send-email"""
    return HTTPBackend(
        name="resend",
        url="https://api.resend.com/emails",
        arguments=_for_resend,
        remedy="RESEND_API_KEY, and that Resend has verified the domain of MAIL_SENDER",
        client=_client_with_token(settings.resend_api_key),
    )


def _for_resend(message: EmailMessage) -> dict[str, Any]:
    mail: dict[str, Any] = {
        "from": message.sender,
        "to": message.to,
        "cc": message.cc,
        "bcc": message.bcc,
        "reply_to": message.reply_to,
        "subject": message.subject,
        "text": message.text_body,
        "html": message.html_body,
        "headers": _own_headers(message),
        "attachments": [
            {
                "filename": each.filename,
                "content": base64.b64encode(each.content).decode(),
                "content_type": each.mime_type,
                **({"content_id": each.content_id.strip("<>")} if each.content_id else {}),
            }
            for each in message.attachments
        ],
    }
    given = {name: value for name, value in mail.items() if value}
    # Resend allows at most 256 characters. The random part of the id comes first.
    return {"json": given, "headers": {"Idempotency-Key": message.message_id[:256]}}


# Mailgun


def mailgun(settings: Settings) -> HTTPBackend:
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""
    host = "api.eu.mailgun.net" if settings.mailgun_region == "eu" else "api.mailgun.net"
    key = settings.mailgun_api_key.get_secret_value()
    return HTTPBackend(
        name="mailgun",
        url=f"https://{host}/v3/{settings.mailgun_domain}/messages.mime",
        arguments=_for_mailgun,
        remedy="MAILGUN_API_KEY, MAILGUN_DOMAIN and MAILGUN_REGION",
        client=httpx.AsyncClient(timeout=TIMEOUT, auth=("api", key)),
    )


def _for_mailgun(message: EmailMessage) -> dict[str, Any]:
    return {
        # Click tracking would send the secret links in e-mails through another server.
        "data": {"to": message.all_recipients(), "o:tracking": "no"},
        "files": {"message": ("message.eml", message.to_mime(), "message/rfc822")},
    }


# Amazon SES


@dataclass
class SESBackend:
    """Sends e-mails with boto3. Without an access key, boto3 looks in ~/.aws or uses the machine's role.

    https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
    """

    settings: Settings = field(repr=False)
    url: str | None = None
    """The URL to use instead of the region's endpoint."""
    name: str = field(default="ses", init=False)

    async def send(self, message: EmailMessage) -> SendResult:
        _require_addresses(message)
        try:
            mime = message.to_mime()
        except ValueError as error:
            raise _unwritable(error) from error
        recipients = [parseaddr(each)[1] or each for each in message.all_recipients()]
        # boto3 would block the event loop.
        await asyncio.to_thread(self._send, mime, recipients)
        return SendResult(message_id=message.message_id, provider=self.name)

    def _send(self, mime: bytes, recipients: list[str]) -> None:
        errors = import_module("botocore.exceptions")
        try:
            self._client.send_email(Destination={"ToAddresses": recipients}, Content={"Raw": {"Data": mime}})
        except errors.ClientError as error:
            raise _refusal_of_ses(error.response) from error
        except errors.BotoCoreError as error:
            kind = type(error).__name__
            if "Credentials" in kind:
                raise Misconfigured(f"ses: {kind}; check {_SES_REMEDY}") from error
            raise SendError(f"ses: {kind}") from error

    @cached_property
    def _client(self) -> Any:
        # At DEBUG, botocore logs whole e-mails.
        logging.getLogger("botocore").setLevel(logging.INFO)
        # If the response were lost, boto3 would resend the e-mail. Only the worker may retry, because it
        # counts the attempts.
        once = {"total_max_attempts": 1}
        options = import_module("botocore.config").Config(
            connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries=once
        )
        session = import_module("boto3.session").Session(
            aws_access_key_id=self.settings.aws_access_key_id or None,
            aws_secret_access_key=self.settings.aws_secret_access_key.get_secret_value() or None,
            aws_session_token=self.settings.aws_session_token.get_secret_value() or None,
            region_name=self.settings.aws_region,
        )
        return session.client("sesv2", endpoint_url=self.url, config=options)

    async def close(self) -> None:
        return None


_SES_REMEDY = (
    "AWS_REGION, the AWS credentials, and that SES has verified MAIL_SENDER and moved your account out of the"
    " sandbox"
)


def _refusal_of_ses(response: dict[str, Any]) -> SendError:
    error: dict[str, str] = response.get("Error", {})
    status: int = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.get("Code", "")
    said = f"ses: {status} {code}" if re.fullmatch(r"[A-Za-z]{1,60}", code) else f"ses: {status}"
    if status >= 500 or status in _PASSING or "Throttling" in code:
        return SendError(said)
    # Only the error message distinguishes a bad e-mail from an unverified sender or sandbox recipient.
    is_unverified = "not verified" in error.get("Message", "")
    if code in ("BadRequestException", "MessageRejected") and not is_unverified:
        return Undeliverable(said)
    # The other errors concern the account, which may be paused, suspended, over its limit or not authorized.
    return Misconfigured(f"{said}; check {_SES_REMEDY}")


def _require_addresses(message: EmailMessage) -> None:
    if not message.sender or not message.all_recipients():
        raise Undeliverable("the e-mail has no sender or no recipient")


def _unwritable(error: ValueError) -> Undeliverable:
    return Undeliverable(f"the e-mail cannot be encoded ({type(error).__name__})")


def _client_with_token(key: SecretStr) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
    return httpx.AsyncClient(timeout=TIMEOUT, headers=headers)


def _own_headers(message: EmailMessage) -> dict[str, str]:
    """The headers of *message* that the provider does not set itself."""
    return {name: value for name, value in message.headers.items() if name.lower() != "date"}
