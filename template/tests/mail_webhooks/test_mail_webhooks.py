"""After a bounce or a complaint, a mailbox receives no more e-mail until its mark is cleared."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import httpx
import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend
from hawkapi_sqlalchemy import Database
from typer.testing import CliRunner

from app.cli import cli
from app.mail import NoSuchMailbox, Worker
from app.mail_webhooks import bounces, commands
from app.users import User
from app.web import App
from tests.conftest import Login, MakeUser
from tests.mail_webhooks.conftest import EMAIL, PATH, Report, Sent, event, signed

RESET = "/users/password-reset/request"
MAILBOXES = "/users/bounced-mailboxes"


async def gets_mail(client: httpx.AsyncClient, sent: Sent, email: str = EMAIL) -> bool:
    """Whether an e-mail requested by a stranger is sent to *email*."""
    answer = await client.post(RESET, json={"email": email})
    assert answer.status_code == 202
    return bool(await sent())


@pytest.mark.parametrize("kind", ["email.bounced", "email.complained"])
async def test_a_bounce_or_complaint_stops_mail_to_the_mailbox(
    client: httpx.AsyncClient, make_user: MakeUser, report: Report, sent: Sent, kind: str
) -> None:
    await make_user(EMAIL)
    await make_user("grace@example.com")
    assert await gets_mail(client, sent)

    answer = await report(kind)

    assert (answer.status_code, answer.json()) == (200, {"status": "received"})
    assert not await gets_mail(client, sent)
    assert await gets_mail(client, sent, "grace@example.com")


async def test_a_mailbox_unknown_to_the_smtp_server_gets_no_more_mail(
    client: httpx.AsyncClient, make_user: MakeUser, db: Database, sent: Sent
) -> None:
    class Unknown(InMemoryBackend):
        async def send(self, message: EmailMessage) -> NoReturn:
            raise NoSuchMailbox("SMTPRecipientRefused 550 5.1.1")

    await make_user(EMAIL)
    await client.post(RESET, json={"email": EMAIL})

    await Worker(db, Unknown()).run_once()

    assert not await gets_mail(client, sent)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("email.delivered", {}),
        ("email.delivery_delayed", {}),
        ("email.bounced", {"bounce": {"type": "Transient"}}),
        ("email.bounced", {"to": [EMAIL, "grace@example.com"]}),
    ],
    ids=["delivered", "delayed", "mailbox full", "one of several"],
)
async def test_other_events_change_nothing(
    client: httpx.AsyncClient, make_user: MakeUser, report: Report, sent: Sent, kind: str, data: dict
) -> None:
    await make_user(EMAIL)

    answer = await report(kind, **data)

    assert answer.status_code == 200
    assert await gets_mail(client, sent)


@pytest.mark.parametrize(
    "headers_of",
    [
        lambda body: {},
        lambda body: signed(body, key=b"another key"),
        lambda body: signed(b"another body"),
        lambda body: signed(body, at=0),
        lambda body: signed(body) | {"svix-signature": b"v1,\xe9"},
    ],
    ids=["unsigned", "another key", "another body", "long ago", "not ASCII"],
)
async def test_an_event_that_the_provider_did_not_sign_is_refused(
    client: httpx.AsyncClient,
    provider: httpx.AsyncClient,
    make_user: MakeUser,
    sent: Sent,
    headers_of: Callable[[bytes], dict[str, Any]],
) -> None:
    await make_user(EMAIL)
    body = event()

    refused = await provider.post(PATH, content=body, headers=headers_of(body))

    assert (refused.status_code, refused.json()["code"]) == (403, "webhook_refused")
    assert await gets_mail(client, sent)


async def test_a_provider_without_a_key_has_no_webhook(client: httpx.AsyncClient) -> None:
    body = event()

    answer = await client.post(PATH, content=body, headers=signed(body))

    assert answer.status_code == 404


async def test_requests_for_a_marked_mailbox_look_the_same_and_cost_the_same(
    client: httpx.AsyncClient, make_user: MakeUser, report: Report, sent: Sent, statements: list[str]
) -> None:
    """A response that revealed a bounce would also reveal that the address has an account (CWE-204)."""
    await make_user(EMAIL)
    await make_user("grace@example.com")
    await report()
    seen = []

    for email in (EMAIL, "grace@example.com", "nobody@example.com"):
        statements.clear()
        answer = await client.post(RESET, json={"email": email})
        seen.append((answer.status_code, answer.text, list(statements)))

    assert seen[0] == seen[1] == seen[2]
    assert [mail.to for mail in await sent()] == [["grace@example.com"]]


async def test_using_a_mailed_link_clears_the_mailbox(
    client: httpx.AsyncClient, make_user: MakeUser, app: App, report: Report, sent: Sent
) -> None:
    """The link was e-mailed before the bounce, and using it proves that the mailbox works."""
    user = await make_user(EMAIL)
    await report()

    used = await client.post(f"/users/verify/{app.state.users.verify_token(user)}")

    assert used.status_code == 200
    assert await gets_mail(client, sent)


async def test_a_late_event_does_not_mark_a_cleared_mailbox_again(
    client: httpx.AsyncClient, make_user: MakeUser, app: App, report: Report, sent: Sent
) -> None:
    await make_user(EMAIL)
    await report()
    async with app.state.db.session() as db:
        assert await bounces.clear(db, EMAIL)

    await report(ago=60)
    still_gets_mail = await gets_mail(client, sent)
    await report()

    assert still_gets_mail
    assert not await gets_mail(client, sent)


async def test_superusers_can_list_and_clear_marked_mailboxes(
    client: httpx.AsyncClient, make_user: MakeUser, admin: httpx.AsyncClient, report: Report, sent: Sent
) -> None:
    user = await make_user(EMAIL)
    await make_user("grace@example.com")
    await report(ago=60)
    await report("email.complained", email="grace@example.com")

    first = (await admin.get(MAILBOXES, params={"limit": 1})).json()
    second = (await admin.get(MAILBOXES, params={"cursor": first["next"]})).json()
    cleared = await admin.post(f"{MAILBOXES}/clear", json={"email": EMAIL.upper()})
    again = await admin.post(f"{MAILBOXES}/clear", json={"email": EMAIL})

    assert [each["reason"] for each in first["items"] + second["items"]] == ["complaint", "bounce"]
    assert (second["items"][0]["email"], second["items"][0]["user_id"]) == (EMAIL, user.id)
    assert second["next"] is None
    assert (cleared.status_code, again.status_code) == (204, 404)
    assert await gets_mail(client, sent)
    events = (await admin.get("/users/audit", params={"user_id": user.id})).json()["items"]
    assert "mailbox_cleared" in {event["event"] for event in events}


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/clear")])
async def test_only_superusers_can_list_and_clear_marked_mailboxes(
    client: httpx.AsyncClient, make_user: MakeUser, login: Login, report: Report, method: str, path: str
) -> None:
    user = await make_user(EMAIL)
    await report()

    answer = await client.request(method, MAILBOXES + path, json={"email": EMAIL}, headers=login(user))

    assert answer.status_code == 403


async def test_the_owners_export_contains_the_marked_mailbox(
    client: httpx.AsyncClient, make_user: MakeUser, login: Login, report: Report
) -> None:
    user: User = await make_user(EMAIL)
    await report("email.complained", email=EMAIL.upper())

    exported = await client.get("/users/me/export", headers=login(user))

    [row] = exported.json()["related_records"]["bounced_mailboxes"]
    assert (row["email"], row["reason"]) == (EMAIL, "complaint")


async def test_the_commands_list_and_clear_marked_mailboxes(
    client: httpx.AsyncClient,
    make_user: MakeUser,
    app: App,
    report: Report,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = app.state.settings
    for name in ("environment", "secret_key", "database_url"):
        value = getattr(settings, name)
        text = value if isinstance(value, str) else value.get_secret_value()
        monkeypatch.setenv(name.upper(), text)

    async def run(*arguments: str) -> str:
        return (await asyncio.to_thread(CliRunner().invoke, commands.cli, arguments)).output

    await make_user(EMAIL)
    await report()

    listed = await run("bounced")
    cleared = await run("clear", EMAIL)
    again = await run("clear", EMAIL)

    assert listed.endswith(f"bounce     {EMAIL}\n")
    assert cleared.startswith(f"{EMAIL} receives e-mail again.")
    assert f"{EMAIL} is not marked." in again
    assert await run("bounced") == "No mailbox is marked.\n"
    assert await gets_mail(client, sent)


def test_the_commands_are_found() -> None:
    shown = CliRunner().invoke(cli, ["mail-webhooks", "--help"]).output

    assert "bounced" in shown
    assert "clear" in shown


# Your own tests go below; template updates never touch them.
