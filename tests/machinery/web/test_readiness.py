"""What /readyz reports about migrations and e-mail."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app import clock
from app.mail.outbox import OutboxMessage


async def ready(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        return await client.get("/readyz")


# Migrations


async def test_a_missing_migration_is_not_ready(build_app, db):
    app = build_app()
    assert (await ready(app)).json()["checks"]["migrations"] is True
    async with db.session() as session:
        applied = list(await session.scalars(text("DELETE FROM alembic_version RETURNING version_num")))

    try:
        answer = await ready(app)
    finally:
        async with db.session() as session:
            for each in applied:
                await session.execute(text("INSERT INTO alembic_version VALUES (:name)"), {"name": each})

    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["checks"]["migrations"] is False
    assert (await ready(app)).status_code == 200


async def test_a_migration_of_a_newer_version_keeps_this_one_ready(build_app, db):
    app = build_app()
    async with db.session() as session:
        await session.execute(text("INSERT INTO alembic_version VALUES ('users_9999')"))

    try:
        answer = await ready(app)
    finally:
        async with db.session() as session:
            await session.execute(text("DELETE FROM alembic_version WHERE version_num = 'users_9999'"))

    assert answer.json()["checks"]["migrations"] is True


async def test_the_files_are_read_once(build_app, monkeypatch):
    app = build_app()
    await ready(app)
    monkeypatch.setattr("app.database.revisions._lacks_some", None)

    assert (await ready(app)).json()["checks"]["migrations"] is True


# E-mail


@pytest.mark.parametrize(("minutes", "is_good"), [(9, True), (11, False)])
async def test_late_mail_is_reported_but_keeps_the_process_in_service(build_app, db, minutes, is_good):
    due = clock.now() - timedelta(minutes=minutes)
    async with db.session() as session:
        session.add(OutboxMessage(message="{}", next_attempt_at=due))

    answer = await ready(build_app())

    assert (answer.status_code, answer.json()["checks"]["mail"]) == (200, is_good)
    assert answer.json()["status"] == ("ready" if is_good else "degraded")
