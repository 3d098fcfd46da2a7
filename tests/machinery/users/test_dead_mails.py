"""E-mails that were set aside, at /users/mails: who sees them, what is shown, resending and dropping."""

from datetime import timedelta

import pytest
from hawkapi_mail import EmailMessage
from sqlalchemy import select

from app import clock
from app.mail import OutboxMessage, enqueue
from app.users.audit import AuditEvent


@pytest.fixture
def make_dead_mail(db):
    """`await make_dead_mail()`: an e-mail that was set aside, with a link that still works."""

    async def make(**columns):
        message = EmailMessage.build(subject="Reset", to="ada@example.com", text="https://x/SECRET-TOKEN")
        async with db.session() as session:
            row = enqueue(session, message, expires_at=clock.now() + timedelta(hours=1))
            row.status, row.attempts, row.last_error = "dead", 8, "connection refused"
            for name, value in columns.items():
                setattr(row, name, value)
        return row

    return make


@pytest.fixture
def rows(db):
    async def read(model):
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(model).order_by(model.id)))

    return read


async def test_a_dead_mail_is_listed_without_its_text(admin, make_user, make_dead_mail):
    user = await make_user()
    mail = await make_dead_mail(user_id=user.id)
    await make_dead_mail(status="pending")

    answer = await admin.get("/users/mails")

    (shown,) = answer.json()["items"]
    assert shown.pop("created_at").endswith("Z")
    assert shown.pop("set_aside_at").endswith("Z")
    assert shown == {
        "id": mail.id,
        "subject": "Reset",
        "user_id": user.id,
        "attempts": 8,
        "last_error": "connection refused",
        "can_be_sent": True,
    }
    assert "SECRET" not in answer.text
    assert mail.message not in answer.text


async def test_the_list_has_pages(admin, make_dead_mail):
    ids = [(await make_dead_mail()).id for _ in range(3)]

    first = (await admin.get("/users/mails?limit=2")).json()
    second = (await admin.get(f"/users/mails?limit=2&before={first['next']}")).json()

    assert [mail["id"] for mail in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None


async def test_a_dead_mail_is_sent_again(admin, root, make_dead_mail, rows, outbox):
    mail = await make_dead_mail()

    answer = await admin.post(f"/users/mails/{mail.id}/retry")

    (event,) = await rows(AuditEvent)
    assert (answer.status_code, len(await outbox())) == (204, 1)
    assert (event.event, event.actor) == ("mail_retried", root.id)
    assert (await admin.post(f"/users/mails/{mail.id}/retry")).status_code == 404


@pytest.mark.parametrize("gone", [{"message": ""}, {"expires_at": clock.now()}])
async def test_a_mail_whose_link_has_expired_is_not_sent_again(admin, make_dead_mail, rows, gone):
    mail = await make_dead_mail(**gone)

    answer = await admin.post(f"/users/mails/{mail.id}/retry")

    assert (answer.status_code, answer.json()["code"]) == (409, "mail_expired")
    assert (await admin.get("/users/mails")).json()["items"][0]["can_be_sent"] is False
    assert await rows(AuditEvent) == []


async def test_a_dead_mail_is_dropped(admin, make_dead_mail, rows):
    kept, mail = await make_dead_mail(), await make_dead_mail()
    waiting = await make_dead_mail(status="pending")

    answers = [await admin.delete(f"/users/mails/{each}") for each in (mail.id, mail.id, waiting.id)]

    assert [answer.status_code for answer in answers] == [204, 404, 404]
    assert [row.id for row in await rows(OutboxMessage)] == [kept.id, waiting.id]
    assert [event.event for event in await rows(AuditEvent)] == ["mail_dropped"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", "/{}/retry"), ("DELETE", "/{}")], ids=["list", "retry", "drop"]
)
async def test_only_superusers_have_access(client, make_user, login, make_dead_mail, rows, method, path):
    mail = await make_dead_mail()
    headers = login(await make_user())

    answer = await client.request(method, f"/users/mails{path.format(mail.id)}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "superusers_only")
    assert [row.status for row in await rows(OutboxMessage)] == ["dead"]
