"""One test for each package that you do not need to edit, to show that the package is installed and works.

The other tests of these packages are in the template's repository.
"""

import logging
from typing import Annotated

from hawkapi import Depends
from hawkapi_mail import EmailMessage, InMemoryBackend
from sqlalchemy import func, select

from app.database import Db
from app.limits import limited
from app.mail import build_worker
from app.users import User
from app.web import Problem
from tests.conftest import PASSWORD, make_client


async def test_errors_are_problem_details_with_safe_headers(client):
    answer = await client.get("/nowhere")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-request-id"]) == 32


async def test_exceeding_a_limit_returns_429(build_app):
    app = build_app()

    @app.get("/rare")
    async def rare(guard: Annotated[None, Depends(limited("1/h"))]) -> dict[str, bool]:
        return {"allowed": True}

    async with make_client(app) as client:
        answers = [await client.get("/rare") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert "retry-after" in answers[1].headers


async def test_mail_is_sent_by_the_worker(app, db, outbox, settings):
    worker = build_worker(db, settings)
    async with db.session() as session:
        mail = EmailMessage.build(subject="Hello", to="ada@example.com")
        await app.state.mail.for_session(session).send(mail)

    await worker.run_once()

    assert isinstance(worker.backend, InMemoryBackend)
    assert [message.subject for message in worker.backend.sent] == ["Hello"]
    assert await outbox() == []


async def test_a_failed_request_leaves_nothing_in_the_database(app, db, build_app):
    failing = build_app()

    @failing.post("/users-of-a-test")
    async def write(db: Db) -> None:
        db.add(User(email="ada@example.com", hashed_password="x"))
        await db.flush()
        raise Problem(409, "Not now.")

    async with make_client(failing) as client:
        answer = await client.post("/users-of-a-test")

    async with db.session(commit=False) as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 0
    assert answer.status_code == 409


async def test_a_request_is_logged_without_its_password(client, caplog):
    caplog.set_level(logging.DEBUG)

    await client.post("/users/login", json={"email": "ada@example.com", "password": PASSWORD})

    assert "POST /users/login 401" in caplog.text
    assert PASSWORD not in caplog.text


# Your own tests go below; template updates never touch them.
