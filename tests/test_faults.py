"""Processes are killed, a mail server fails, a disk is full: clients get what they should, nothing is lost.

FAULTS_REGISTRATIONS=1000 in the environment makes a longer run, and FAULTS_SEED another one.
"""

import os
import random
import re
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from conftest import Render, free_port, process, run, wait_for_server, wait_until
from faults import Clients, Supervised, UnreliableServer, register

pytestmark = pytest.mark.minutes

REGISTRATIONS = int(os.environ.get("FAULTS_REGISTRATIONS", "40"))
SEED = int(os.environ.get("FAULTS_SEED", "1"))
ASK = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

type Serve = Callable[..., object]


@pytest.fixture
def project(compiled: Render) -> Path:
    return compiled()


@pytest.fixture
def environment(database: str) -> dict[str, str]:
    return {"DATABASE_URL": database, "ENVIRONMENT": "test", "RATE_LIMITS": "false"}


@pytest.fixture
def on_sqlite(tmp_path: Path) -> dict[str, str]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
    return {"DATABASE_URL": url, "ENVIRONMENT": "test", "RATE_LIMITS": "false"}


def app(python: Path, *arguments: str) -> list[str | Path]:
    return [python, "-m", "app.cli", *arguments]


@contextmanager
def serving(python: Path, project: Path, environment: dict[str, str], workers: int) -> Iterator[Popen[bytes]]:
    """A server with a new database. It must exit successfully on SIGTERM."""
    port = free_port()
    run(*app(python, "db", "upgrade"), cwd=project, env=environment)
    command = app(python, "serve", "--port", str(port), "--workers", str(workers))
    with process(*command, cwd=project, log=project / "serve.log", env=environment) as server:
        server.base = f"http://127.0.0.1:{port}"
        server.port = port
        with httpx.Client(base_url=server.base) as client:
            wait_for_server(client, server)
        yield server


def is_ready(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 200
    return False


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exists(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# Mail


def test_no_registration_is_lost_and_each_is_mailed_once(
    project: Path, python: Path, environment: dict[str, str], record_property: Callable[..., None]
):
    """Server and worker are killed at random moments, and one mail in five meets a fault."""
    worker = project / "app" / "mail" / "worker.py"
    worker.write_text(re.sub("(?m)^FIRST_RETRY = .*", "FIRST_RETRY = 0.5", worker.read_text()))
    chance, port, mails = random.Random(SEED), free_port(), UnreliableServer(SEED)
    run(*app(python, "db", "upgrade"), cwd=project, env=environment)
    emails = [f"user{number}@example.com" for number in range(REGISTRATIONS)]
    clients, kills = Clients(f"http://127.0.0.1:{port}"), Counter[str]()
    with mails.listening() as smtp_port:
        env = environment | {"MAIL_BACKEND": "smtp", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port)}
        serve = app(python, "serve", "--port", str(port), "--workers", "2")
        server, mailer = Supervised(serve, project, env), Supervised(app(python, "worker"), project, env)
        try:
            with ThreadPoolExecutor(4) as pool:
                parts = [pool.submit(register, clients, emails[part::4]) for part in range(4)]
                while kills.total() < REGISTRATIONS // 5 and not all(part.done() for part in parts):
                    # On a slow machine a server that is killed again and again never serves.
                    wait_until(lambda: is_ready(port), "the server")
                    time.sleep(chance.random() * 2)
                    victim = chance.choice([*server.pids(), *mailer.pids()])
                    kills["worker" if victim in mailer.pids() else "server"] += 1
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                created = {email for part in parts for email in part.result()}
            wait_until(lambda: set(emails) <= mails.accepted.keys(), "every mail")
            # One of them may have been killed and started again just now.
            for started in (server, mailer):
                wait_until(lambda each=started: handles_sigterm(each.process.pid), "the last start")
        finally:
            codes = server.stop(), mailer.stop()

    doubled = sum(count - 1 for count in mails.accepted.values())
    cut = len(clients.cut)
    record_property(
        "measured",
        f"killed: {dict(kills)}, {len(created)} created, {cut} cut, {dict(mails.faults)}, {doubled} doubled",
    )
    assert codes == (0, 0)
    assert set(mails.accepted) == set(emails)
    assert set(clients.statuses) <= {201, 409, 503}
    # If a worker is killed between the server's reply and the deletion of the row, the next one sends that
    # one mail again.
    assert doubled <= kills["worker"]


# Processes


def test_a_server_drains_before_it_stops(project: Path, python: Path, on_sqlite: dict[str, str]):
    with serving(python, project, on_sqlite, 2) as server:
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        idle.sendall(ASK.format("/livez").encode())
        assert b"connection: close" not in idle.recv(65536)
        server.terminate()
        wait_until(lambda: "Shutting down" in server.log.read_text(), "the signal")
        # As a client that did not know.
        idle.sendall(ASK.format("/readyz").encode())
        answer = b""
        while part := idle.recv(65536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in answer
        assert server.wait(45) == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_requests_finish_when_the_server_stops(
    project: Path, python: Path, on_sqlite: dict[str, str], workers: int
):
    clients = Clients("")
    with serving(python, project, on_sqlite, workers) as server:
        clients.base = server.base

        def registered(number: int) -> int:
            body = {"email": f"user{number}@example.com", "password": "correct horse battery"}
            with httpx.Client(timeout=60) as client:
                return clients.send(client, "POST", "/users/register", json=body)

        with ThreadPoolExecutor(6) as pool:
            # Each hashes a password, which takes a large part of a second with so many at once.
            answers = [pool.submit(registered, number) for number in range(6)]
            wait_until(lambda: any(answer.done() for answer in answers), "the first response")
            server.terminate()
            statuses = [answer.result() for answer in answers]

        assert clients.cut == []
        assert set(statuses) == {201}
        assert server.wait(40) == 0


def test_a_killed_process_is_replaced_even_twice_in_a_moment(
    project: Path, python: Path, on_sqlite: dict[str, str]
):
    with serving(python, project, on_sqlite, 1) as server, httpx.Client(base_url=server.base) as client:
        for _ in range(3):
            (victim,) = children(server.pid)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda gone=victim: gone not in children(server.pid), "the end")
            wait_for_server(client, server)
        assert server.poll() is None


def test_processes_end_with_the_main_process_and_free_its_port(
    project: Path, python: Path, on_sqlite: dict[str, str]
):
    started = False
    # A server that was killed does not exit successfully.
    with suppress(AssertionError), serving(python, project, on_sqlite, 2) as server:
        orphans = children(server.pid)
        server.kill()
        wait_until(lambda: not any(map(exists, orphans)), "the end of the children")
        command = app(python, "serve", "--port", str(server.port))
        with (
            process(*command, cwd=project, log=project / "next.log", env=on_sqlite) as following,
            httpx.Client(base_url=server.base) as client,
        ):
            wait_for_server(client, following)
            started = True
    assert started


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_signal_during_the_start_is_a_success(
    project: Path, python: Path, on_sqlite: dict[str, str], command: str
):
    run(*app(python, "db", "upgrade"), cwd=project, env=on_sqlite)
    chance = random.Random(SEED)
    for number in range(5):
        options = ["--port", str(free_port())] if command == "serve" else []
        log = project / f"{command}{number}.log"
        # Asserts that it exits with 0. Before the interpreter runs our first line, no process could.
        with process(*app(python, command, *options), cwd=project, log=log, env=on_sqlite) as starting:
            wait_until(lambda pid=starting.pid: handles_sigterm(pid), "the first handler")
            time.sleep(chance.random() * 2)


def handles_sigterm(pid: int) -> bool:
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return bool(int(re.search(r"SigCgt:\s+(\w+)", status)[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


# SQLite


def test_sixteen_writers_do_not_lock_each_other_out(
    project: Path, python: Path, on_sqlite: dict[str, str], record_property: Callable[..., None]
):
    clients = Clients("")
    count = max(64, REGISTRATIONS)
    with serving(python, project, on_sqlite, 2) as server:
        clients.base = server.base
        emails = [f"user{number}@example.com" for number in range(count)]
        # Requests for a verification mail write and do not hash.
        register(clients, emails[:1])
        ended = time.monotonic() + count / 16

        def write(number: int) -> None:
            with httpx.Client(timeout=60) as client:
                while time.monotonic() < ended:
                    clients.send(client, "POST", "/users/verify/request", json={"email": emails[0]})

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(write, range(16)))

    record_property("measured", f"{dict(clients.statuses)} in {count / 16:.0f} s")
    assert set(clients.statuses) == {201, 202}
    assert "locked" not in server.log.read_text()


def test_a_full_disk_is_503_until_there_is_room(project: Path, python: Path, on_sqlite: dict[str, str]):
    with serving(python, project, on_sqlite, 1) as server:
        clients = Clients(server.base)
        register(clients, ["first@example.com"])
        (child,) = children(server.pid)
        log = Path(on_sqlite["DATABASE_URL"].removeprefix("sqlite+aiosqlite:///") + "-wal")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(child, resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))

        with httpx.Client(timeout=60) as client:
            body = {"email": "second@example.com", "password": "correct horse battery"}
            assert clients.send(client, "POST", "/users/register", json=body) == 503
            assert clients.send(client, "GET", "/users/me") == 401

            resource.prlimit(child, resource.RLIMIT_FSIZE, unlimited)
            assert clients.send(client, "POST", "/users/register", json=body) == 201
            body["email"] = "first@example.com"
            assert clients.send(client, "POST", "/users/register", json=body) == 409
