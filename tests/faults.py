"""Helpers for the fault tests: a failing mail server, and clients that count the outcome of each request."""

import asyncio
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from conftest import clean_environment, free_port, missing, wait_until


class UnreliableServer:
    """An SMTP server that rejects, delays or drops one e-mail in five. It keeps every accepted e-mail."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.accepted: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        fault = self._random.choice(["refuse", "delay", "drop"]) if self._random.random() < 0.2 else ""
        if fault:
            self.faults[fault] += 1
        if fault == "refuse":
            return "451 Try again later"
        if fault == "drop":
            # The connection ends before the e-mail is accepted, so the client must send it again.
            server.transport.abort()
            return "451 Gone"
        if fault == "delay":
            await asyncio.sleep(self._random.random())
        mail = message_from_bytes(envelope.content)
        self.accepted[mail["To"]] += 1
        return "250 OK"

    @contextmanager
    def listening(self) -> Iterator[int]:
        controller = Controller(self, hostname="127.0.0.1", port=free_port())
        controller.start()
        yield controller.port
        controller.stop()


class Supervised:
    """A command that is restarted whenever it exits, as systemd or a container engine would do."""

    def __init__(self, command: list[str | Path], cwd: Path, env: dict[str, str]) -> None:
        self._start = lambda log: subprocess.Popen(
            command, cwd=cwd, env=clean_environment() | env, stdout=log, stderr=log
        )
        self._ends = False
        self._log = (cwd / f"{command[3]}.log").open("ab")
        self.process = self._start(self._log)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._ends:
            self.process.wait()
            if not self._ends:
                self.process = self._start(self._log)

    def pids(self) -> list[int]:
        """The process and its children."""
        pid = self.process.pid
        with suppress(OSError):
            return [pid, *children(pid)]
        return [pid]

    def stop(self) -> int:
        self._ends = True
        self.process.terminate()
        code = self.process.wait(45)
        self._log.close()
        return code


@dataclass
class Clients:
    """The outcomes of several clients' requests."""

    base: str
    statuses: Counter[int] = field(default_factory=Counter)
    cut: list[str] = field(default_factory=list)
    """The error of each request that was sent but got no response."""
    refused: int = 0
    """The number of connections that were not accepted."""

    def registered(self) -> int:
        """The number of accounts that are known to exist."""
        return self.statuses[201] + self.statuses[409]

    def send(self, client: httpx.Client, method: str, path: str, **options: object) -> int:
        """Send a request. Returns the status of the response, or 0 if there is none."""
        try:
            status = client.request(method, self.base + path, **options).status_code
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self.refused += 1
            time.sleep(0.05)
            return 0
        except httpx.TransportError as error:
            self.cut.append(type(error).__name__)
            return 0
        self.statuses[status] += 1
        return status


def register(clients: Clients, emails: list[str]) -> list[str]:
    """Register *emails*, retrying each one until it gets a response. Returns the addresses that got a 201."""
    created: list[str] = []
    with httpx.Client(timeout=60) as client:
        for email in emails:
            body = {"email": email, "password": "correct horse battery"}
            status = 0
            while status not in (201, 409):
                status = clients.send(client, "POST", "/users/register", json=body)
                assert status in (0, 201, 409, 503), status
            if status == 201:
                created.append(email)
    return created


class Load:
    """Clients that send requests without pausing, until their connections are refused."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.statuses: Counter[int] = Counter()
        self.cut: list[str] = []
        """A description of each request that got no response even though its client was still connected."""

    async def run(self, clients: int) -> None:
        await asyncio.gather(*(self._client(number) for number in range(clients)))

    async def _client(self, number: int) -> None:
        sent = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return
            is_open = True
            while is_open:
                sent += 1
                try:
                    writer.write(self._request(number, sent))
                    is_open = await self._read_response(reader)
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.cut.append(f"request {sent} of client {number}: {error!r}")
                    is_open = False
            writer.close()

    def _request(self, number: int, sent: int) -> bytes:
        # Every other client opens a new connection for each request.
        connection = b"close" if number % 2 else b"keep-alive"
        line, body = b"GET /users/me", b""
        # Only every eighth client registers, because hashing a password keeps a processor busy.
        if number % 8 == 0:
            line = b"POST /users/register"
            body = b'{"email": "%d-%d@example.com", "password": "correct horse battery"}' % (number, sent)
        headers = b"Host: 127.0.0.1\r\nConnection: %b\r\nContent-Type: application/json" % connection
        return b"%b HTTP/1.1\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (line, headers, len(body), body)

    async def _read_response(self, reader: asyncio.StreamReader) -> bool:
        """Returns whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", head)
        await reader.readexactly(int(length))
        self.statuses[int(head.split()[1])] += 1
        return b"connection: close" not in head


class PostgreSQL:
    """A PostgreSQL server for one test, which may restart it or make it hang."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._binaries, self._data, self._port = binaries, folder / "data", free_port()
        self.url = f"postgresql://root@127.0.0.1:{self._port}/app"
        self._run("initdb", "--username=root", "--auth=trust", "--no-sync", "--pgdata", self._data).wait()
        self.start()

    def _run(self, program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        command, output = [self._binaries / program, *arguments], subprocess.DEVNULL
        return subprocess.Popen(command, user=self._user, cwd="/", stdout=output, stderr=output)

    def start(self) -> None:
        """Start it, and return once it responds."""
        options = ["-D", self._data, "-p", str(self._port), "-k", self._data, "-c", "fsync=off"]
        self._process = self._run("postgres", *options)
        wait_until(self._responds, "PostgreSQL")

    def _responds(self) -> bool:
        return self._run("pg_isready", "--host=127.0.0.1", f"--port={self._port}").wait() == 0

    def stop(self) -> None:
        """Cut off every connection and leave the write-ahead log to be replayed, as after a crash."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Its socket still accepts connections, but nothing responds."""
        os.kill(self._process.pid, signal.SIGSTOP)
        # The stopped postmaster no longer starts processes.
        processes = [self._process.pid, *children(self._process.pid)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def own_postgresql() -> Iterator[PostgreSQL]:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not installed:
        missing("no PostgreSQL is installed in /usr/lib/postgresql")
    # Not in pytest's folder, which only root may access.
    with tempfile.TemporaryDirectory() as folder:
        server = PostgreSQL(installed[-1].parent, Path(folder))
        try:
            yield server
        finally:
            server.stop()


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
