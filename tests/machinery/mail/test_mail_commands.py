"""`app mail`: dead e-mails are listed, sent again and dropped from the command line."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hawkapi_mail import EmailMessage
from sqlalchemy import select
from typer.testing import CliRunner, Result

from app import clock
from app.cli import cli
from app.cli.common import application
from app.mail import OutboxMessage, enqueue
from app.settings import Settings
from app.users.audit import AuditEvent

type Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with three dead e-mails: 1 belongs to ada, and the link in 3 has expired."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("SECRET_KEY", "0123456789abcdef" * 4)
    monkeypatch.setenv("MAIL_BACKEND", "memory")
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
    assert CliRunner().invoke(cli, ["db", "upgrade"]).exit_code == 0

    async def add() -> None:
        async with application() as app, app.state.db.session() as db:
            user = app.state.users.model(email="ada@example.com", hashed_password="x")
            db.add(user)
            await db.flush()
            for number, subject in enumerate(("For Ada", "A \x1b[31mred\n subject", "Old"), start=1):
                message = EmailMessage.build(subject=subject, to="bob@example.com", text="https://x/t0ken")
                row = enqueue(db, message, user_id=user.id if number == 1 else None)
                row.id, row.status, row.attempts, row.last_error = number, "dead", number, "refused"
                row.expires_at = clock.now() if number == 3 else clock.now() + timedelta(hours=1)

    asyncio.run(add())


@pytest.fixture
def run() -> Run:
    return lambda *arguments, **options: CliRunner().invoke(cli, ["mail", *arguments], **options)


def stored(column: object) -> list[object]:
    async def read() -> list[object]:
        async with application() as app, app.state.db.session(commit=False) as db:
            return list(await db.scalars(select(column).order_by(column.class_.id)))  # type: ignore[attr-defined]

    return asyncio.run(read())


def test_dead_mails_are_listed_newest_first(run: Run) -> None:
    lines = run("dead").stdout.splitlines()

    assert [line.split("  ")[0] for line in lines] == ["3", "2", "1"]
    assert lines[0].endswith("  no account  Old  3 attempts: refused (its link has expired)")
    assert lines[2].endswith("  ada@example.com  For Ada  1 attempt: refused")


def test_the_list_shows_no_text_and_no_control_character(run: Run) -> None:
    """CWE-150."""
    result = run("dead")

    assert "A ?[31mred? subject" in result.stdout
    assert "t0ken" not in result.output
    assert "bob@" not in result.output


def test_the_list_can_be_limited(run: Run) -> None:
    result = run("dead", "--limit", "2")

    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "There are more: raise --limit.\n"


def test_dead_mails_are_listed_as_data(run: Run) -> None:
    old, red, for_ada = json.loads(run("dead", "--json").stdout)

    assert (for_ada["id"], for_ada["email"], for_ada["can_be_sent"]) == (1, "ada@example.com", True)
    assert (red["subject"], red["email"]) == ("A \x1b[31mred\n subject", None)
    assert old["can_be_sent"] is False
    assert "message" not in old


def test_named_mails_are_sent_again(run: Run) -> None:
    result = run("retry", "2", "1")

    assert (result.exit_code, result.output) == (0, "2 e-mails are in the outbox again.\n")
    assert stored(OutboxMessage.status) == ["pending", "pending", "dead"]
    assert stored(OutboxMessage.attempts) == [0, 0, 3]
    assert (stored(AuditEvent.event), stored(AuditEvent.actor)) == (["mail_retried"] * 2, ["cli"] * 2)


def test_mails_that_cannot_be_sent_again_are_named(run: Run) -> None:
    result = run("retry", "1", "3", "9")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "E-mail 3: The e-mail cannot be sent again, because the link in it has expired.",
        "E-mail 9: No set-aside e-mail has this number. It may have been sent in the meantime.",
        "1 of 3 e-mails were changed.",
    ]
    assert stored(OutboxMessage.status) == ["pending", "dead", "dead"]


def test_all_mails_that_can_be_sent_are_sent_again(run: Run) -> None:
    result = run("retry", "--all")

    assert (result.exit_code, result.stdout) == (0, "2 e-mails are in the outbox again.\n")
    assert "E-mail 3: " in result.stderr
    assert stored(OutboxMessage.status) == ["pending", "pending", "dead"]


def test_named_mails_are_dropped(run: Run) -> None:
    result = run("drop", "3")

    assert (result.exit_code, result.output) == (0, "1 e-mail is deleted.\n")
    assert stored(OutboxMessage.id) == [1, 2]
    assert stored(AuditEvent.event) == ["mail_dropped"]


def test_all_mails_are_dropped_after_a_confirmation(run: Run) -> None:
    assert run("drop", "--all", input="n\n").exit_code == 1
    assert stored(OutboxMessage.id) == [1, 2, 3]

    assert run("drop", "--all", "--yes").output == "3 e-mails are deleted.\n"
    assert stored(OutboxMessage.id) == []
    assert run("dead").stderr == "There are no e-mails that could not be sent.\n"


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("arguments", [[], ["1", "--all"]])
def test_either_numbers_or_all_must_be_given(run: Run, command: str, arguments: list[str]) -> None:
    result = run(command, *arguments, "--yes") if command == "drop" else run(command, *arguments)

    assert result.exit_code == 2
    assert "Pass the e-mail numbers" in result.output
    assert stored(OutboxMessage.status) == ["dead"] * 3
