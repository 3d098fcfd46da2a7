"""Fixtures for tests of bounced mailboxes: a provider that signs events, and a worker that sends e-mails."""

import base64
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend
from hawkapi_sqlalchemy import Database

from app.mail import Worker
from tests.users.conftest import OtherClient
from tests.users.conftest import admin as admin
from tests.users.conftest import begin_session as begin_session
from tests.users.conftest import other_app as other_app
from tests.users.conftest import other_client as other_client
from tests.users.conftest import root as root
from tests.users.conftest import statements as statements

EMAIL = "ada@example.com"
KEY = sha256(b"the webhook of the tests").digest()
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
PATH = "/mail/webhooks/resend"


def signed(body: bytes, *, key: bytes = KEY, at: float | None = None) -> dict[str, str]:
    """The headers with Resend's signature for *body*."""
    timestamp = str(int(time.time() if at is None else at))
    signature = hmac.new(key, f"evt_1.{timestamp}.".encode() + body, sha256).digest()
    value = f"v1,{base64.b64encode(signature).decode()}"
    return {"svix-id": "evt_1", "svix-timestamp": timestamp, "svix-signature": value}


def event(kind: str = "email.bounced", email: str = EMAIL, ago: float = 0, **data: object) -> bytes:
    """An event that happened *ago* seconds ago."""
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    return json.dumps({"type": kind, "created_at": at, "data": {"to": [email], **data}}).encode()


@pytest.fixture
async def provider(other_client: OtherClient) -> httpx.AsyncClient:
    """A client of an application that is configured with the provider's secret."""
    return await other_client(resend_webhook_secret=SECRET)


type Report = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def report(provider: httpx.AsyncClient) -> Report:
    """`await report("email.complained")`: the provider reports an event about EMAIL."""

    async def report(kind: str = "email.bounced", **details: object) -> httpx.Response:
        body = event(kind, **details)  # type: ignore[arg-type]
        return await provider.post(PATH, content=body, headers=signed(body))

    return report


type Sent = Callable[[], Awaitable[list[EmailMessage]]]


@pytest.fixture
def sent(db: Database) -> Sent:
    """`await sent()` runs the worker and returns the e-mails that it sent."""

    async def work() -> list[EmailMessage]:
        backend = InMemoryBackend()
        await Worker(db, backend).run_once()
        return backend.sent

    return work


# Your own fixtures go below; template updates never touch them.
