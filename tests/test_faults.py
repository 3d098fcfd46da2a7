"""Processes are killed, a mail server fails, a disk is full: clients get the right responses, and nothing is
lost.

Set FAULTS_REGISTRATIONS=1000 and FAULTS_RESTARTS=3 for a longer run, and FAULTS_SEED for a different one.
"""

import asyncio
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
from functools import partial
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from conftest import Render, free_port, process, run, wait_for_server, wait_until
from faults import Clients, Load, PostgreSQL, Supervised, UnreliableServer, children, own_postgresql, register

pytestmark = pytest.mark.minutes

REGISTRATIONS = int(os.environ.get("FAULTS_REGISTRATIONS", "25"))
RESTARTS = int(os.environ.get("FAULTS_RESTARTS", "1"))
"""The number of times that PostgreSQL is restarted in the meantime."""
SEED = int(os.environ.get("FAULTS_SEED", "1"))
ASK = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

type Serve = Callable[..., object]


@pytest.fixture
def project(compiled: Render) -> Path:
    return compiled()


@pytest.fixture
def postgresql() -> Iterator[PostgreSQL]:
    with own_postgresql() as server:
        yield server


@pytest.fixture
def on_sqlite(tmp_path: Path) -> dict[str, str]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
    return {"DATABASE_URL": url, "ENVIRONMENT": "test", "RATE_LIMITS": "false"}


def app(python: Path, *arguments: str) -> list[str | Path]:
    return [python, "-m", "app.cli", *arguments]


@contextmanager
def serving(
    python: Path, project: Path, environment: dict[str, str], workers: int, *prefix: str
) -> Iterator[Popen[bytes]]:
    """A server with a new database, run by the command *prefix*. The server must exit successfully on
    SIGTERM.
    """
    port = free_port()
    run(*app(python, "db", "upgrade"), cwd=project, env=environment)
    command = [*prefix, *app(python, "serve", "--port", str(port), "--workers", str(workers))]
    with process(*command, cwd=project, log=project / "serve.log", env=environment) as server:
        server.base = f"http://127.0.0.1:{port}"
        server.port = port
        with httpx.Client(base_url=server.base) as client:
            wait_for_server(client, server)
        yield server


def seconds_until(recovered: Callable[[], bool]) -> float:
    start = time.monotonic()
    wait_until(recovered, "the recovery")
    seconds = time.monotonic() - start
    # Ten times as long as a busy machine needs: the recovery must not wait for a pool or a health check.
    assert seconds < 5
    return seconds


def kill_child(server: Popen[bytes]) -> None:
    (victim,) = children(server.pid)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in children(server.pid), "the end")


def exists(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# Mail


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_registration_is_lost_and_each_is_mailed_once(
    project: Path,
    python: Path,
    on_sqlite: dict[str, str],
    request: pytest.FixtureRequest,
    record_property: Callable[..., None],
    database: str,
):
    """The server and the worker are killed and PostgreSQL is restarted at random moments. One e-mail in five
    fails.
    """
    environment, restarts = on_sqlite, []
    if database == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        environment, restarts = on_sqlite | {"DATABASE_URL": postgresql.url}, [postgresql.restart] * RESTARTS
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

        def kill() -> None:
            victim = chance.choice([*server.pids(), *mailer.pids()])
            kills["worker" if victim in mailer.pids() else "server"] += 1
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)

        faults = [kill] * (REGISTRATIONS // 5) + restarts
        chance.shuffle(faults)
        try:
            with ThreadPoolExecutor(4) as pool:
                parts = [pool.submit(register, clients, emails[part::4]) for part in range(4)]
                for number, fault in enumerate(faults, 1):
                    # Spread over the run, however long the server takes to restart.
                    due = number * REGISTRATIONS / (len(faults) + 1)
                    wait_until(lambda due=due: clients.registered() >= due, "registrations", seconds=600)
                    time.sleep(chance.random())
                    fault()
                created = {email for part in parts for email in part.result()}
            wait_until(lambda: set(emails) <= mails.accepted.keys(), "every mail", seconds=600)
            # One of them may have just been killed and restarted.
            for started in (server, mailer):
                wait_until(lambda each=started: handles_sigterm(each.process.pid), "the last start")
        finally:
            codes = server.stop(), mailer.stop()

    doubled = sum(count - 1 for count in mails.accepted.values())
    record_property(
        "measured",
        f"killed: {dict(kills)}, {len(restarts)} restarts of the database, {len(created)} created,"
        f" {len(clients.cut)} cut, {dict(clients.statuses)}, {dict(mails.faults)}, {doubled} doubled",
    )
    assert codes == (0, 0)
    users = run(*app(python, "users", "list", "--limit", "10000"), cwd=project, env=environment)
    assert set(re.findall(r"user\d+@example\.com", users)) == set(emails)
    assert set(mails.accepted) == set(emails)
    assert set(clients.statuses) <= {201, 409, 503}
    # If a worker is killed between the server's reply and the deletion of the row, the next worker sends that
    # e-mail again.
    assert doubled <= max(1, REGISTRATIONS // 200)


# Processes


def test_a_server_drains_before_it_stops(project: Path, python: Path, on_sqlite: dict[str, str]):
    with serving(python, project, on_sqlite, 1) as server:
        idle, other = (socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2))
        for connection in (idle, other):
            connection.sendall(ASK.format("/livez").encode())
            assert b"connection: close" not in connection.recv(65536)
        server.terminate()
        wait_for_the_signal(other)

        idle.sendall(ASK.format("/readyz").encode())

        assert idle.recv(65536).startswith(b"HTTP/1.1 503")
        assert server.wait(45) == 0


def wait_for_the_signal(connection: socket.socket) -> None:
    """Send requests until the process at the other end has also received the signal. A request that began
    before the signal would still get a 200 from /readyz.
    """
    answer = b""
    while b"connection: close" not in answer:
        connection.sendall(ASK.format("/livez").encode())
        answer = connection.recv(65536)


def test_the_response_to_an_earlier_request_closes_its_connection(
    project: Path, python: Path, on_sqlite: dict[str, str]
):
    """Otherwise its client might send another request just as the server closes the connection."""
    body = b'{"email": "ada@example.com", "password": "wrong horse battery"}'
    head = b"POST /users/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with serving(python, project, on_sqlite, 1) as server:
        slow, other = (socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2))
        slow.sendall(b"%bContent-Length: %d\r\n\r\n" % (head, len(body)))
        other.sendall(ASK.format("/livez").encode())
        assert b"connection: close" not in other.recv(65536)
        server.terminate()
        wait_for_the_signal(other)

        slow.sendall(body)

        answer = slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"connection: close" in answer


@pytest.mark.parametrize("workers", [1, 4])
def test_no_request_is_cut_when_the_server_stops(
    project: Path,
    python: Path,
    on_sqlite: dict[str, str],
    record_property: Callable[..., None],
    workers: int,
):
    with serving(python, project, on_sqlite, workers) as server:
        load = Load(server.port)
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(asyncio.run, load.run(32))
            wait_until(lambda: load.statuses[201] and load.statuses[401] > 100, "the load")
            server.terminate()
            running.result()
        assert server.wait(45) == 0
    record_property("measured", f"{dict(load.statuses)}, {len(load.cut)} cut")
    assert load.cut == []
    # On a slow machine, a request may take longer than REQUEST_TIMEOUT.
    assert set(load.statuses) - {503} == {201, 401}


def test_a_killed_process_is_replaced_even_twice_in_a_moment(
    project: Path, python: Path, on_sqlite: dict[str, str]
):
    with serving(python, project, on_sqlite, 1) as server, httpx.Client(base_url=server.base) as client:
        for _ in range(3):
            kill_child(server)
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
    for number in range(3):
        options = ["--port", str(free_port())] if command == "serve" else []
        log = project / f"{command}{number}.log"
        # Asserts that the process exits with 0, which is impossible before Python runs our first line.
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
        # Requests for a verification e-mail write to the database but do not hash.
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


def test_a_read_only_file_is_503_for_writes_until_it_is_writable(
    project: Path, python: Path, on_sqlite: dict[str, str], record_property: Callable[..., None]
):
    # Without this, root can write to every file.
    prefix = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    with serving(python, project, on_sqlite, 1, *prefix) as server:
        clients, body = Clients(server.base), {"email": "first@example.com"}
        register(clients, [body["email"]])
        database = Path(on_sqlite["DATABASE_URL"].removeprefix("sqlite+aiosqlite:///"))
        files = list(database.parent.glob(f"{database.name}*"))
        with httpx.Client(timeout=60) as client:
            for file in files:
                file.chmod(0o400)
            # Connections that are already open can still write.
            kill_child(server)
            wait_until(lambda: clients.send(client, "GET", "/livez") == 200, "the next process")
            assert clients.send(client, "POST", "/users/verify/request", json=body) == 503
            assert clients.send(client, "GET", "/users/me") == 401
            assert client.get(f"{server.base}/readyz").json()["checks"]["database"] is False

            for file in files:
                file.chmod(0o600)
            seconds = seconds_until(
                lambda: clients.send(client, "POST", "/users/verify/request", json=body) == 202
            )
            assert client.get(f"{server.base}/readyz").status_code == 200
    record_property("measured", f"writable again after {seconds:.1f} s")


# Servers


def test_a_postgresql_that_hangs_is_503_until_it_responds(
    project: Path,
    python: Path,
    on_sqlite: dict[str, str],
    postgresql: PostgreSQL,
    record_property: Callable[..., None],
):
    environment = on_sqlite | {"DATABASE_URL": postgresql.url, "DATABASE_TIMEOUT": "1"}
    with serving(python, project, environment, 1) as server:
        clients, body = Clients(server.base), {"email": "first@example.com"}
        register(clients, [body["email"]])
        # This is REQUEST_TIMEOUT plus time to send the response.
        with httpx.Client(timeout=35) as client:
            with postgresql.hanging():
                for _ in range(3):
                    assert clients.send(client, "POST", "/users/verify/request", json=body) == 503
                assert client.get(f"{server.base}/readyz").json()["checks"]["database"] is False
            seconds = seconds_until(
                lambda: clients.send(client, "POST", "/users/verify/request", json=body) == 202
            )
            assert client.get(f"{server.base}/readyz").status_code == 200
    record_property("measured", f"recovered after {seconds:.1f} s")
    assert clients.cut == []


def test_requests_are_served_while_redis_is_emptied_or_stopped(
    project: Path, python: Path, on_sqlite: dict[str, str], record_property: Callable[..., None]
):
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    redis = partial(process, *command, cwd=project, log=project / "redis.log", env={})
    environment = on_sqlite | {"REDIS_URL": f"redis://127.0.0.1:{port}/0", "RATE_LIMITS": "true"}
    with serving(python, project, environment, 1) as server, httpx.Client(timeout=60) as client:
        clients, body = Clients(server.base), {"email": "first@example.com"}

        def ask() -> int:
            return clients.send(client, "POST", "/users/verify/request", json=body)

        def readiness() -> str:
            return client.get(f"{server.base}/readyz").json()["status"]

        with redis():
            wait_until(lambda: readiness() == "ready", "Redis")
            wait_until(lambda: ask() == 429, "the limit")
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"FLUSHALL\r\n")
                assert connection.recv(5) == b"+OK\r\n"
            assert ask() == 202
        # Each process counts separately.
        assert ask() == 202
        assert readiness() == "degraded"
        with redis():
            seconds = seconds_until(lambda: readiness() == "ready")
            assert ask() == 202
    record_property("measured", f"Redis is back after {seconds:.1f} s")
    assert set(clients.statuses) == {202, 429}
