"""What the tests of faults need: a mail server that fails, clients that count what became of each request."""

import asyncio
import random
import subprocess
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
from conftest import clean_environment, free_port


class UnreliableServer:
    """An SMTP server that refuses, delays or drops one mail in five. It keeps what it has accepted."""

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
            # Before the mail is accepted: the client must send it again.
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
    """A command that is started again whenever it ends, as systemd or a container engine would do."""

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
            return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        return [pid]

    def stop(self) -> int:
        self._ends = True
        self.process.terminate()
        code = self.process.wait(45)
        self._log.close()
        return code


@dataclass
class Clients:
    """What became of the requests of several clients."""

    base: str
    statuses: Counter[int] = field(default_factory=Counter)
    cut: list[str] = field(default_factory=list)
    """Requests that were sent and got no response."""
    refused: int = 0
    """Connections that were not accepted."""

    def send(self, client: httpx.Client, method: str, path: str, **options: object) -> int:
        """The status of the response, or 0."""
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
    """Register *emails*, each until it is answered. Returns those that got a 201."""
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
