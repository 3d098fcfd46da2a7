"""The log check at the end of every run finds secrets."""

import logging

import pytest

from tests.log_guard import Lines, lines_with, noting

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ." + "c2lnbmF0dXJl" * 4  # pragma: allowlist secret


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        (TOKEN, f"a token {TOKEN}"),
        (TOKEN, f"GET /users/verify/{TOKEN}?x=1 200"),
        (TOKEN, f"Traceback\n  ValueError: {TOKEN!r}"),
        ("correct horse battery", "password=correct horse battery"),
        ("12345678", "x12345678y"),
        ("a passphrase with spaces, longer than forty", "(a passphrase with spaces, longer than forty)"),
    ],
)
def test_a_line_with_a_secret_is_found(secret, line):
    assert lines_with({"something else", secret}, ["before", line, "after"]) == [line]


@pytest.mark.parametrize("secret", [TOKEN, "correct horse battery", "1234567", ""])
def test_lines_without_secrets_are_not_reported(secret):
    """1234567 is too short to be distinctive."""
    assert lines_with({secret}, ["GET /users/me 200", TOKEN[:-1], "correct horse", "1234567"]) == []


def test_records_are_kept_as_logged():
    lines = Lines()
    error = ValueError("password=in the exception")
    record = logging.LogRecord(
        "app.test", logging.DEBUG, "f.py", 1, "Bearer %s", ("abc",), (ValueError, error, None)
    )
    record.path = "/in/a/field"

    lines.handle(record)

    [line] = lines.lines
    assert all(each in line for each in ("Bearer abc", "password=in the exception", "/in/a/field"))


def test_records_of_the_test_clients_are_ignored():
    lines = Lines()

    lines.handle(logging.LogRecord("httpx", logging.INFO, "f.py", 1, "GET /verify/token", (), None))

    assert lines.lines == set()


async def test_passwords_and_tokens_are_noted(manager, make_user, db, client):
    secrets: set[str] = set()
    user = await make_user()

    with noting(secrets):
        async with db.session() as session:
            issued = await manager.sessions.issue(session, user)
        link = manager.reset_token(user)
        answer = await client.post(
            "/users/login", json={"email": user.email, "password": "not the right one"}
        )

    assert answer.status_code == 401
    assert secrets == {issued.token, link, "not the right one"}
