"""Requests that cause each of the error codes. Each test is named after its code."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hawkapi import Request
from hawkapi_mail import EmailMessage
from pyotp.totp import TOTP
from sqlalchemy import Column, ForeignKey, Integer, String, literal, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError

from app import clock
from app.database import Db
from app.mail.outbox import DEAD, enqueue
from app.mail_webhooks.webhooks import WebhookUnavailable
from app.users import HashingBusy, User, VerifiedUser
from app.users.rate_limits import Limit, Limits
from app.web import App
from tests.conftest import PASSWORD, make_client
from tests.passkeys.authenticator import Authenticator
from tests.passkeys.conftest import add_passkey
from tests.test_error_codes import STATUSES
from tests.web.conftest import raw_call

EMAIL = "ada@example.com"
JSON = {"Content-Type": "application/json"}
ACCOUNT = {"email": EMAIL, "password": PASSWORD}


def shows(response: Any, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (STATUSES[code], code)


def test_no_code_is_left_out():
    assert [code for code in STATUSES if f"test_{code}" not in globals()] == []


# The request


async def test_validation_failed(client):
    shows(await client.post("/users/register", json={}), "validation_failed")


async def test_malformed_json(client):
    shows(await client.post("/users/register", content="{", headers=JSON), "malformed_json")


async def test_malformed_form(client):
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    shows(await client.post("/users/password-reset/x", content=b"\xff", headers=form), "malformed_form")


async def test_invalid_cursor(client, make_user, login):
    response = await client.get("/notes?cursor=x", headers=login(await make_user(EMAIL)))

    shows(response, "invalid_cursor")


async def test_unsupported_media_type(client):
    shows(await client.post("/users/register", content="x"), "unsupported_media_type")


async def test_body_too_large(other_client):
    client = await other_client(max_body_size=1024)

    shows(await client.post("/users/register", json={"email": "x" * 2000}), "body_too_large")


async def test_url_too_long(client):
    shows(await client.get("/" + "x" * 9000), "url_too_long")


async def test_headers_too_large(client):
    shows(await client.get("/", headers={"X-Large": "x" * 20_000}), "headers_too_large")


async def test_invalid_host(other_client):
    client = await other_client(allowed_hosts=["example.com"])

    shows(await client.get("/users/me"), "invalid_host")


async def test_invalid_url(client):
    shows(await client.get("/users/%00"), "invalid_url")


async def test_incomplete_body(app):
    headers = [(b"content-type", b"application/json")]

    answer = await raw_call(app, "POST", "/users/register", incoming=(), headers=headers)

    assert (answer.status, b'"code":"incomplete_body"' in answer.body) == (400, True)


async def test_body_timeout(other_client):
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    client = await other_client(body_timeout=0.05)

    shows(await client.post("/users/register", content=stalled(), headers=JSON), "body_timeout")


async def test_not_found(client):
    shows(await client.get("/nothing"), "not_found")


async def test_method_not_allowed(client):
    shows(await client.get("/users/login"), "method_not_allowed")


# Logging in


async def test_invalid_credentials(client):
    shows(await client.post("/users/login", json=ACCOUNT), "invalid_credentials")


async def test_not_logged_in(client):
    shows(await client.get("/users/me"), "not_logged_in")


async def test_session_ended(client):
    shows(await client.get("/users/me", headers={"Authorization": "Bearer x"}), "session_ended")
    shows(await client.post("/users/token/refresh", json={"refresh_token": "x"}), "session_ended")


async def test_recent_login_required(client, make_user, visit, set_clock):
    here = await visit(await make_user())
    set_clock(here.issued.session.authenticated_at + timedelta(hours=1))

    shows(await client.delete("/users/me", headers=here.headers), "recent_login_required")


async def test_superusers_only(client, make_user, visit):
    here = await visit(await make_user())

    shows(await client.get("/users", headers=here.headers), "superusers_only")


async def test_email_not_verified(failing, make_user, visit):
    async def verified(user: VerifiedUser) -> None: ...

    here = await visit(await make_user())

    shows(await failing(verified, headers=here.headers), "email_not_verified")


async def test_cross_site_request(client):
    shows(await client.post("/users/login/cookie", json=ACCOUNT), "cross_site_request")


# Accounts


async def test_email_taken(client, make_user):
    await make_user(EMAIL)

    shows(await client.post("/users/register", json=ACCOUNT), "email_taken")


async def test_invalid_email(client):
    shows(await client.post("/users/register", json=ACCOUNT | {"email": "ada"}), "invalid_email")


async def test_unknown_language(client, make_user, login):
    headers = login(await make_user())

    shows(await client.patch("/users/me", json={"language": "tlh"}, headers=headers), "unknown_language")


async def test_weak_password(client):
    shows(await client.post("/users/register", json=ACCOUNT | {"password": "short"}), "weak_password")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("x" * 129, "password_too_long"),
        ("password1234", "password_common"),
        ("ada@example.com", "password_personal"),
    ],
)
async def test_a_refused_password_says_why(client, password, code):
    refused = await client.post("/users/register", json=ACCOUNT | {"password": password})

    assert [each["code"] for each in refused.json()["errors"]] == [code]


async def test_registration_closed(other_client):
    client = await other_client(registration="closed")

    shows(await client.post("/users/register", json=ACCOUNT), "registration_closed")


async def test_wrong_password(client, make_user, visit):
    here = await visit(await make_user())
    wrong = {"password": "another password"}

    shows(await client.post("/users/me/confirm", json=wrong, headers=here.headers), "wrong_password")


async def test_invalid_link(client):
    shows(await client.post("/users/verify/x"), "invalid_link")


async def test_password_required(client, make_user, email_link):
    shows(await client.post(await email_link(await make_user())), "password_required")


class OneFactor:
    """A fake feature with second factors. *has_one*: whether every account has a second factor."""

    def __init__(self, *, has_one: bool) -> None:
        self._has_one = has_one

    def number_of(self, user_id):
        return literal(int(self._has_one))

    async def methods_of(self, db, user):
        return ["code"] if self._has_one else []

    async def begin(self, db, user, *, kind, remember):
        return "ticket", "key"


async def test_second_factor_required(client, make_user, manager):
    await make_user()
    manager.second_factors = OneFactor(has_one=True)

    response = await client.post("/users/login", json=ACCOUNT)

    shows(response, "second_factor_required")
    assert (response.json()["ticket"], response.json()["methods"]) == ("ticket", ["code"])


async def test_confirm_with_second_factor(client, make_user, login, manager):
    headers = login(await make_user())
    manager.second_factors = OneFactor(has_one=True)

    response = await client.post("/users/me/confirm", json={"password": PASSWORD}, headers=headers)

    shows(response, "confirm_with_second_factor")


async def test_second_factor_setup_required(client, make_user, manager):
    await make_user()
    manager.second_factors, manager.require_second_factor = OneFactor(has_one=False), "all"
    tokens = (await client.post("/users/login", json=ACCOUNT)).json()

    response = await client.get("/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    shows(response, "second_factor_setup_required")


async def test_wrong_second_factor(client, make_user, login):
    headers = login(await make_user(is_verified=True))
    await client.post("/users/me/totp", headers=headers)

    response = await client.post("/users/me/totp/confirm", json={"code": "000000"}, headers=headers)

    shows(response, "wrong_second_factor")


async def test_login_expired(client):
    body = {"ticket": "unknown", "code": "000000"}

    shows(await client.post("/users/login/second-factor", json=body), "login_expired")


async def test_login_code_refused(client):
    body = {"code": "BCDF-GHJK"}

    shows(await client.post("/users/login/email/unknown", json=body), "login_code_refused")


async def test_webhook_refused(other_client):
    client = await other_client(mailgun_webhook_key="the-key-of-this-test")

    shows(await client.post("/mail/webhooks/mailgun", json={}), "webhook_refused")


async def test_webhook_unavailable(other_client, monkeypatch):
    async def away(url):
        raise WebhookUnavailable

    monkeypatch.setattr("app.mail_webhooks.ses._get", away)
    topic = "arn:aws:sns:eu-central-1:123456789012:bounces"
    message = dict.fromkeys(("Type", "MessageId", "Message", "Signature"), "")
    message |= {"TopicArn": topic, "SignatureVersion": "2", "Timestamp": "2030-01-01T12:00:00Z"}
    message["SigningCertURL"] = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem"
    client = await other_client(ses_topic_arn=topic)

    shows(await client.post("/mail/webhooks/ses", json=message), "webhook_unavailable")


async def test_no_second_factor(client, make_user, login):
    headers = login(await make_user())

    shows(await client.delete("/users/me/totp", headers=headers), "no_second_factor")


@pytest.fixture
async def headers_of_owner(client, make_user, login):
    """The headers of an account with an authenticator app."""
    headers = login(await make_user(is_verified=True))
    secret = (await client.post("/users/me/totp", headers=headers)).json()["secret"]
    code = {"code": TOTP(secret).now()}
    assert (await client.post("/users/me/totp/confirm", json=code, headers=headers)).status_code == 200
    return headers


async def test_totp_already_set_up(client, headers_of_owner):
    shows(await client.post("/users/me/totp", headers=headers_of_owner), "totp_already_set_up")


async def test_passkey_refused(client):
    shows(await client.post("/users/login/passkey", json={"credential": {}}), "passkey_refused")


async def test_too_many_passkeys(client, make_user, login, monkeypatch):
    monkeypatch.setattr("app.passkeys.passkeys.MAX_PASSKEYS", 0)
    headers = login(await make_user(is_verified=True))

    shows(await client.post("/users/me/passkeys/options", headers=headers), "too_many_passkeys")


async def test_passkey_exists(client, make_user, login, monkeypatch):
    headers = login(await make_user(is_verified=True))
    monkeypatch.setattr("tests.passkeys.authenticator.secrets.token_bytes", bytes)

    answers = [await add_passkey(client, headers, Authenticator()) for _ in range(2)]

    shows(answers[1], "passkey_exists")


async def test_last_second_factor(client, headers_of_owner, manager):
    manager.require_second_factor = "all"

    shows(await client.delete("/users/me/totp", headers=headers_of_owner), "last_second_factor")


async def test_last_superuser(admin, root):
    shows(await admin.delete(f"/users/{root.id}"), "last_superuser")


async def test_account_disabled(admin, make_user):
    user = await make_user(is_active=False)

    shows(await admin.post(f"/users/{user.id}/password-reset"), "account_disabled")


async def test_mail_expired(admin, db):
    message = EmailMessage.build(subject="Reset", to=EMAIL, text="A link")
    async with db.session() as session:
        mail = enqueue(session, message, expires_at=clock.now())
        mail.status = DEAD

    shows(await admin.post(f"/users/mails/{mail.id}/retry"), "mail_expired")


async def test_account_in_use(admin, make_user, create_table, db):
    owner = Column("user_id", String(36), ForeignKey("users.id"))
    orders = await create_table("orders", Column("id", Integer, primary_key=True), owner)
    user = await make_user()
    async with db.session() as session:
        await session.execute(orders.insert().values(id=1, user_id=user.id))

    response = await admin.delete(f"/users/{user.id}")
    async with db.session() as session:
        await session.execute(orders.delete())

    shows(response, "account_in_use")


# The application


@pytest.fixture
def failing(build_app):
    """`await failing(handler, request_timeout=1)`: the response of a route with this handler."""

    async def ask(handler: Any, headers: Any = None, **settings: Any) -> Any:
        app: App = build_app(**settings)
        app.add_route("/failing", handler, methods={"POST"})
        async with make_client(app) as client:
            return await client.post("/failing", headers=headers)

    return ask


def raising(error: Exception) -> Any:
    async def handler(request: Request) -> None:
        raise error

    return handler


async def test_rate_limited(client, manager, app):
    manager.limits = Limits(app.state.limiter, {"verify": Limit(ip="1/h")})
    await client.post("/users/verify/x")

    shows(await client.post("/users/verify/x"), "rate_limited")


async def test_rate_limits_unavailable(other_client):
    client = await other_client(redis_url="redis://127.0.0.1:1/0", redis_outage="refuse")

    shows(await client.post("/users/login", json=ACCOUNT), "rate_limits_unavailable")


async def test_busy(client, manager, monkeypatch):
    async def refuse(*_: object) -> bool:
        raise HashingBusy

    monkeypatch.setattr(manager.hasher, "verify", refuse)

    shows(await client.post("/users/login", json=ACCOUNT), "busy")


async def test_already_exists(failing):
    async def handler(request: Request, db: Db) -> None:
        db.add_all([User(email=EMAIL, hashed_password="x"), User(email=EMAIL, hashed_password="x")])
        await db.flush()

    shows(await failing(handler), "already_exists")


async def test_conflict(failing):
    shows(await failing(raising(StaleDataError("the row is gone"))), "conflict")


async def test_unstorable_value(failing):
    shows(await failing(raising(OverflowError("too large"))), "unstorable_value")


async def test_database_unavailable(failing):
    shows(await failing(raising(OperationalError("SELECT 1", {}, OSError()))), "database_unavailable")


async def test_migrations_pending(failing):
    async def handler(request: Request, db: Db) -> None:
        await db.execute(text("SELECT 1 FROM sculptures"))

    shows(await failing(handler, environment="development"), "migrations_pending")


async def test_timeout(failing):
    async def handler(request: Request) -> None:
        await asyncio.Event().wait()

    shows(await failing(handler, request_timeout=0.05), "timeout")


async def test_internal_error(failing):
    shows(await failing(raising(RuntimeError("unexpected"))), "internal_error")
