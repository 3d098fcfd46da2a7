"""A generated project as users run it: real processes, HTTP requests, a mail server, and e-mailed links that
are opened.
"""

import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from email import message_from_bytes, policy
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from aiosmtpd.controller import Controller
from conftest import (
    Render,
    clean_environment,
    drop_database,
    free_port,
    process,
    run,
    wait_for_server,
    wait_until,
)

ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}
OTHER_PASSWORD = "another horse battery"


class Inbox:
    """Keeps the e-mails that the server receives."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        self.mails.append(envelope.content)
        return "250 OK"

    def link(self, number: int) -> str:
        """The link in e-mail *number*, once that e-mail has arrived."""
        wait_until(lambda: len(self.mails) >= number, f"mail {number}")
        mail = message_from_bytes(self.mails[number - 1], policy=policy.default)
        text = mail.get_body(("plain",)).get_content()
        return re.search(r"https?://\S+", text).group()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    inbox.port = controller.port
    yield inbox
    controller.stop()


def test_a_user_registers_verifies_and_resets_in_production(
    compiled: Render, python: Path, inbox: Inbox, database: str
):
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    project = compiled()
    environment = {
        "DATABASE_URL": database,
        "ENVIRONMENT": "test",
        "BASE_URL": base,
        "MAIL_BACKEND": "smtp",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(inbox.port),
        # Unlike browsers, the client keeps cookies for a plain HTTP address only with this setting.
        "COOKIE_SECURE": "false",
    }
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    serve = ["serve", "--port", str(port), "--workers", "2"]
    with (
        command(python, project, environment, serve) as server,
        command(python, project, environment, ["worker"]),
        httpx.Client(base_url=base) as client,
    ):
        wait_for_server(client, server)

        assert client.post("/users/register", json=ACCOUNT).status_code == 201
        verify_link = inbox.link(1)
        assert verify_link.startswith(f"{base}/users/verify/")
        access = login(client)
        page = client.get(verify_link)
        client.head(verify_link)
        assert 'method="post"' in page.text
        assert "<script" not in page.text
        assert client.get("/users/me", headers=access).json()["is_verified"] is False
        assert client.post(verify_link, data={"": ""}).status_code == 303
        assert client.get("/users/me", headers=access).json()["is_verified"] is True

        asked = client.post("/users/password-reset/request", json={"email": ACCOUNT["email"]})
        assert asked.status_code == 202
        reset_link = inbox.link(2)
        assert 'type="password"' in client.get(reset_link, follow_redirects=True).text
        assert client.post(reset_link, data={"password": "short"}).status_code == 400
        assert client.post(reset_link, data={"password": OTHER_PASSWORD}).status_code == 303
        assert client.post(reset_link, data={"password": OTHER_PASSWORD}).status_code == 400
        assert client.get("/users/me", headers=access).status_code == 401
        assert client.post("/users/login", json=ACCOUNT).status_code == 401
        assert login(client, OTHER_PASSWORD)
        wait_until(lambda: len(inbox.mails) == 3, "the notice")
    assert b"Subject: My app: Your password was changed" in inbox.mails[2]


def test_a_hundred_concurrent_refreshes_leave_one_session(compiled: Render, python: Path, postgresql: str):
    port, name = free_port(), f"refresh_{uuid4().hex[:8]}"
    project = compiled()
    environment = {
        "DATABASE_URL": f"{postgresql.rpartition('/')[0]}/{name}",
        "ENVIRONMENT": "test",
        "DATABASE_POOL_SIZE": "16",
    }
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    serve = ["serve", "--port", str(port), "--workers", "2"]
    with (
        command(python, project, environment, serve) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for_server(client, server)
        assert client.post("/users/register", json=ACCOUNT).status_code == 201
        first = client.post("/users/login", json=ACCOUNT).json()["refresh_token"]

        with ThreadPoolExecutor(100) as pool:
            # Each request has a separate connection, so both processes receive some of them.
            answers = list(pool.map(lambda _: refresh(port, first), range(100)))

        pairs = [answer.json() for answer in answers]
        assert {answer.status_code for answer in answers} == {200}
        assert len({pair["refresh_token"] for pair in pairs}) == 1
        access = {"Authorization": f"Bearer {pairs[0]['access_token']}"}
        assert len(client.get("/users/me/sessions", headers=access).json()) == 1
        assert refresh(port, pairs[0]["refresh_token"]).status_code == 200
    drop_database(python, postgresql, name)


def refresh(port: int, token: str) -> httpx.Response:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        return client.post("/users/token/refresh", json={"refresh_token": token})


def test_dev_creates_missing_files_serves_and_prints_the_link(compiled: Render, python: Path, tmp_path: Path):
    port = free_port()
    project = compiled()
    (project / ".env").unlink()
    with (
        command(python, project, {}, ["dev", "--port", str(port)]) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for_server(client, server)

        assert client.post("/users/register", json=ACCOUNT).status_code == 201
        wait_until(lambda: f":{port}/users/verify/" in server.log.read_text(), "the link on the console")
        assert client.get("/docs").status_code == 200
    assert re.search(r"^SECRET_KEY=[0-9a-f]{64}$", (project / ".env").read_text(), re.MULTILINE)
    assert (project / "data" / "app.db").exists()


def test_serve_explains_why_it_refuses_an_unsafe_production(compiled: Render, python: Path):
    project = compiled()

    done = subprocess.run(
        [python, "-m", "app.cli", "serve"],
        cwd=project,
        env=clean_environment()
        | {"ENVIRONMENT": "production", "DEBUG": "true", "SECRET_KEY": "change-me" * 5},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert re.search(r"^ +SECRET_KEY: ", done.stderr, re.MULTILINE)
    assert re.search(r"^ +DEBUG: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_serve_refuses_a_database_that_lacks_migrations(compiled: Render, python: Path):
    project = compiled()
    (project / "data").mkdir()

    done = subprocess.run(
        [python, "-m", "app.cli", "serve", "--port", str(free_port())],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "uv run app db upgrade" in done.stderr


def command(
    python: Path, project: Path, environment: dict[str, str], arguments: list[str]
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Runs a command of the project during the block."""
    return process(
        python,
        "-m",
        "app.cli",
        *arguments,
        cwd=project,
        log=project / f"{arguments[0]}.log",
        env=environment,
        stop=signal.SIGINT if arguments[0] == "dev" else signal.SIGTERM,
    )


def login(client: httpx.Client, password: str = ACCOUNT["password"]) -> dict[str, str]:
    answer = client.post("/users/login", json={"email": ACCOUNT["email"], "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
