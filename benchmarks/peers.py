"""The applications being compared: a new project, an application built on hawkapi-users and one built on
fastapi-users.

The peers are built as their documentation shows. All of them use the same server and the same kind of
database.
"""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil
from load import Load, once, request, run

REPOSITORY = Path(__file__).resolve().parent.parent
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CONNECTIONS = 32
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
TRIVIAL = request("GET", "/healthz")
# Some images set this variable, which makes every start recompile every module. No deployment does that.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True)
class Kind:
    """How one of the applications is installed, served and called."""

    name: str
    target: str
    uv: tuple[str, ...]
    register: str
    """The path of the registration route."""
    login: bytes


def kinds(project: Path) -> list[Kind]:
    in_project = ("--directory", str(project), "--with", "hawkapi-users==0.2.0")
    login = request("POST", "/users/login", headers=JSON, body=account(EMAIL))
    form = urlencode({"username": EMAIL, "password": PASSWORD}).encode()
    alone = ("--no-project", "--python", (project / ".python-version").read_text().strip())
    packages = (
        "fastapi-users[sqlalchemy]==15.0.5",
        "fastapi",
        "granian[uvloop]>=2.8,<3",
        "aiosqlite",
        "asyncpg",
    )
    return [
        Kind("project", "app.asgi:app", in_project, "/users/register", login),
        Kind("hawkapi-users", "library_app:app", in_project, "/users/register", login),
        Kind(
            "fastapi-users",
            "fastapi_users_app:app",
            (*alone, *(part for package in packages for part in ("--with", package))),
            "/auth/register",
            request("POST", "/auth/jwt/login", headers=FORM, body=form),
        ),
    ]


def account(email: str) -> bytes:
    return json.dumps({"email": email, "password": PASSWORD}).encode()


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def render(project: Path) -> Path:
    say("rendering a project")
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "HEAD"]
    subprocess.run([*command, str(REPOSITORY), str(project)], check=True)
    return project


@contextmanager
def servers(
    project: Path, folder: Path, server_url: str | None, only: str | None = None
) -> Iterator[list["Peer"]]:
    """Serve all applications, or only the one named *only*. Each has its own database."""
    secret = secrets.token_hex(32)
    urls: list[str] = []
    running: list[subprocess.Popen[bytes]] = []
    peers: list[Peer] = []
    common = {**os.environ, "SECRET_KEY": secret, "ENVIRONMENT": "test", "MAIL_BACKEND": "memory"}
    common["TRUSTED_PROXIES"] = "127.0.0.1"
    common.pop("VIRTUAL_ENV", None)
    try:
        for kind in kinds(project):
            if only not in (None, kind.name):
                continue
            say(f"installing what {kind.name} needs")
            tool = ["uv", "run", "--quiet", *kind.uv]
            urls.append(database_url(folder, server_url, kind.name.replace("-", "_")))
            environment = {**common, "DATABASE_URL": urls[-1], "PYTHONPATH": str(Path(__file__).parent)}
            subprocess.run([*tool, "granian", "--version"], env=environment, check=True, capture_output=True)
            if kind.name == "project":
                upgrade = [*tool, "app", "db", "upgrade"]
                subprocess.run(upgrade, env=environment, check=True, capture_output=True)
            port = free_port()
            serve = ["granian", "--interface", "asgi", "--workers", "1", "--port", str(port), kind.target]
            with (folder / f"{kind.name}.log").open("wb") as log:
                running.append(subprocess.Popen([*tool, *serve], env=environment, stdout=log, stderr=log))
            began = time.monotonic()
            wait_for_response(port, kind.name)
            peers.append(Peer(kind, port, secret, running[-1].pid, urls[-1], time.monotonic() - began))
        yield peers
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(15)
        if server_url:
            for url in urls:
                administer(server_url, f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')


def database_url(folder: Path, server_url: str | None, name: str) -> str:
    """The URL of a new, empty database: a file in *folder*, or one on the PostgreSQL server *server_url*."""
    if server_url is None:
        return f"sqlite+aiosqlite:///{folder / name}.db"
    database = f"benchmark_{name}_{secrets.token_hex(4)}"
    administer(server_url, f'CREATE DATABASE "{database}"')
    return f"{server_url.rpartition('/')[0]}/{database}"


def administer(url: str, *statements: str) -> None:
    """Execute *statements* in a PostgreSQL database."""
    import asyncpg

    async def execute() -> None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())


def free_port() -> int:
    """A port that nothing is listening on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_response(port: int, name: str) -> None:
    """Return as soon as the server responds."""
    for _ in range(3000):
        try:
            if once(port, TRIVIAL)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise SystemExit(f"the server for {name} did not start")


class Peer:
    """One of the applications under load."""

    def __init__(self, kind: Kind, port: int, secret: str, pid: int, database_url: str, start: float) -> None:
        """*pid*: the parent of the server's processes. *start*: the seconds until the first response."""
        self.kind = kind
        self.port = port
        self.pid = pid
        self.database_url = database_url
        self.start = start
        self._secret = secret

    def register(self) -> None:
        status, _ = once(self.port, self._registration(EMAIL))
        assert status == 201, (self.kind.name, status)

    def log_in(self) -> dict[str, str]:
        """Log in, and return the header that authenticates later requests."""
        status, body = once(self.port, self.kind.login)
        assert status == 200, (self.kind.name, status)
        user = json.loads(body)
        token = user.get("access_token") or self._library_token(user["id"])
        return {"Authorization": f"Bearer {token}"}

    def _cpu_seconds(self) -> float:
        processes = psutil.Process(self.pid).children(recursive=True)
        return sum(each.cpu_times().user + each.cpu_times().system for each in processes)

    def _library_token(self, user_id: str) -> str:
        # The login route of hawkapi-users issues no token. Its README leaves that to the application.
        import jwt

        now = int(time.time())
        claims = {"sub": user_id, "iat": now, "exp": now + 3600, "type": "access", "aud": "benchmark"}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def me(self, seconds: float) -> tuple[Load, float]:
        """The load, and the CPU time in milliseconds that the server used for each request."""
        # Log in eight times, because the project looks up the session and caches tokens that it has checked.
        # Log in again each time, because the requests in `logins` end the oldest sessions.
        requests = [request("GET", "/users/me", headers=self.log_in()) for _ in range(8)]
        before = self._cpu_seconds()
        load = await run(self.port, *requests, connections=CONNECTIONS, seconds=seconds)
        return load.require(200), 1000 * (self._cpu_seconds() - before) / len(load.latencies)

    async def refreshes(self, seconds: float) -> Load:
        """Eight clients refresh their tokens, each with the token from its last response. Because of the rate
        limits, each has its own IP address.
        """
        requests: list[bytes] = []
        for _ in range(8):
            tokens = json.loads(once(self.port, self.kind.login)[1])
            body = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
            headers = JSON | {"X-Forwarded-For": f"198.19.{secrets.randbelow(256)}.{secrets.randbelow(256)}"}
            requests.append(request("POST", "/users/token/refresh", headers=headers, body=body))
        load = run(self.port, *requests, connections=8, seconds=seconds, renewed="refresh_token")
        return (await load).require(200)

    async def registrations(self, seconds: float) -> Load:
        """Eight clients register. Because of the rate limits, each account has its own IP address."""
        requests = [
            self._registration(f"{secrets.token_hex(8)}@example.com", client=number)
            for number in range(round(200 * seconds))
        ]
        return (await run(self.port, *requests, connections=8, seconds=seconds, once=True)).require(201)

    def _registration(self, email: str, client: int = 0) -> bytes:
        headers = JSON | {"X-Forwarded-For": f"198.18.{client // 256}.{client % 256}"}
        return request("POST", self.kind.register, headers=headers, body=account(email))

    async def logins(self, seconds: float) -> Load:
        """Eight clients log in with no other load on the server."""
        return (await run(self.port, self.kind.login, connections=8, seconds=seconds)).require(200)

    async def logins_and_trivial(self, seconds: float) -> tuple[Load, Load]:
        """Eight clients log in. Meanwhile, four others request a trivial route as fast as they can."""
        logins, trivial = await asyncio.gather(
            run(self.port, self.kind.login, connections=8, seconds=seconds),
            run(self.port, TRIVIAL, connections=4, seconds=seconds),
        )
        return logins.require(200), trivial.require(200)
