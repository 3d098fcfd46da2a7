"""A generated project against its peers: the same routes, server and kind of database, in one run.

    uv run --group benchmarks python benchmarks/users_routes.py [--database-url postgresql+asyncpg://...]

Renders a project with Copier and serves it, an application on hawkapi-users and one on fastapi-users, each
with granian and one worker. They take turns, so that changes in machine speed affect all of them. Prints
ratios, because only they are comparable between machines. `--help` lists the other options.
"""

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

from load import Load, once, request, run

REPOSITORY = Path(__file__).resolve().parent.parent
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CONNECTIONS = 32
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
ACCOUNT = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()
TRIVIAL = request("GET", "/healthz")


@dataclass(frozen=True)
class Kind:
    """How one of the applications is installed, served and called."""

    name: str
    target: str
    uv: tuple[str, ...]
    register: bytes
    login: bytes


def kinds(project: Path) -> list[Kind]:
    in_project = ("--directory", str(project), "--with", "hawkapi-users==0.2.0")
    register, login = "/users/register", request("POST", "/users/login", headers=JSON, body=ACCOUNT)
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
        Kind("project", "app.asgi:app", in_project, _post(register), login),
        Kind("hawkapi-users", "library_app:app", in_project, _post(register), login),
        Kind(
            "fastapi-users",
            "fastapi_users_app:app",
            (*alone, *(part for package in packages for part in ("--with", package))),
            _post("/auth/register"),
            request("POST", "/auth/jwt/login", headers=FORM, body=form),
        ),
    ]


def _post(path: str) -> bytes:
    return request("POST", path, headers=JSON, body=ACCOUNT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database-url", help="a PostgreSQL server; SQLite files by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--project", type=Path, help="a generated project to use instead of a new one")
    parser.add_argument("--me-only", action="store_true", help="leave out the logins, which take longest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = options.project or render(Path(folder) / "project")
        with servers(project.resolve(), Path(folder), options.database_url) as peers:
            results = asyncio.run(measure(peers, options.rounds, options.seconds, options.me_only))
    report(results)


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def render(project: Path) -> Path:
    say("rendering a project")
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "HEAD"]
    subprocess.run([*command, str(REPOSITORY), str(project)], check=True)
    return project


@contextmanager
def servers(project: Path, folder: Path, server_url: str | None) -> Iterator[list["Peer"]]:
    """All applications, being served. Each has its own database."""
    secret = secrets.token_hex(32)
    urls: list[str] = []
    running: list[subprocess.Popen[bytes]] = []
    peers: list[Peer] = []
    common = {**os.environ, "SECRET_KEY": secret, "ENVIRONMENT": "test", "MAIL_BACKEND": "memory"}
    common.pop("VIRTUAL_ENV", None)
    try:
        for kind in kinds(project):
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
            peers.append(Peer(kind, port, secret))
        for peer in peers:
            peer.wait_until_ready()
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
    if server_url is None:
        return f"sqlite+aiosqlite:///{folder / name}.db"
    database = f"benchmark_{name}_{secrets.token_hex(4)}"
    administer(server_url, f'CREATE DATABASE "{database}"')
    return f"{server_url.rpartition('/')[0]}/{database}"


def administer(server_url: str, statement: str) -> None:
    import asyncpg

    async def execute() -> None:
        connection = await asyncpg.connect(server_url.replace("+asyncpg", ""))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Peer:
    """One of the applications under load."""

    def __init__(self, kind: Kind, port: int, secret: str) -> None:
        self.kind = kind
        self.port = port
        self._secret = secret
        self._me: list[bytes] = []

    def wait_until_ready(self) -> None:
        for _ in range(300):
            try:
                if once(self.port, TRIVIAL)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"the server of {self.kind.name} did not start")

    def register(self) -> None:
        status, _ = once(self.port, self.kind.register)
        assert status == 201, (self.kind.name, status)
        # A login for each connection: the project looks its session up, and remembers tokens it has checked.
        self._me = [self._log_in() for _ in range(CONNECTIONS)]

    def _log_in(self) -> bytes:
        status, body = once(self.port, self.kind.login)
        assert status == 200, (self.kind.name, status)
        user = json.loads(body)
        token = user.get("access_token") or self._library_token(user["id"])
        return request("GET", "/users/me", headers={"Authorization": f"Bearer {token}"})

    def _library_token(self, user_id: str) -> str:
        # hawkapi-users' login issues none; its README leaves that to the application.
        import jwt

        now = int(time.time())
        claims = {"sub": user_id, "iat": now, "exp": now + 3600, "type": "access", "aud": "benchmark"}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def me(self, seconds: float) -> Load:
        return (await run(self.port, *self._me, connections=CONNECTIONS, seconds=seconds)).require(200)

    async def logins(self, seconds: float) -> Load:
        """Eight clients log in, without other load."""
        return (await run(self.port, self.kind.login, connections=8, seconds=seconds)).require(200)

    async def logins_and_trivial(self, seconds: float) -> tuple[Load, Load]:
        """Eight clients log in; meanwhile four request a trivial route as fast as they can."""
        logins, trivial = await asyncio.gather(
            run(self.port, self.kind.login, connections=8, seconds=seconds),
            run(self.port, TRIVIAL, connections=4, seconds=seconds),
        )
        return logins.require(200), trivial.require(200)


type Row = dict[str, float]


async def measure(peers: list[Peer], rounds: int, seconds: float, me_only: bool) -> dict[str, list[Row]]:
    for peer in peers:
        peer.register()
        await peer.me(1.0)
    results: dict[str, list[Row]] = {peer.kind.name: [] for peer in peers}
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for peer in peers:
            results[peer.kind.name].append(await measure_one(peer, seconds, me_only))
    return results


async def measure_one(peer: Peer, seconds: float, me_only: bool) -> Row:
    row = {"GET /users/me, requests/s": (await peer.me(seconds)).per_second}
    if me_only:
        return row
    alone = await peer.logins(seconds)
    meanwhile, trivial = await peer.logins_and_trivial(seconds)
    return row | {
        "log in, logins/s": alone.per_second,
        "log in during GET /healthz, logins/s": meanwhile.per_second,
        "GET /healthz during logins, requests/s": trivial.per_second,
        "GET /healthz during logins, p50 ms": trivial.percentile(0.50),
        "GET /healthz during logins, p99 ms": trivial.percentile(0.99),
    }


def report(results: dict[str, list[Row]]) -> None:
    """Medians, and beside each peer's the median of the project's value divided by the peer's, by round."""
    ours = results["project"]
    print(" " * 40 + "".join(f"{name:>15}{'' if name == 'project' else ' ratio':>8}" for name in results))
    for row in ours[0]:
        line = f"{row:40}"
        for name, rounds in results.items():
            ratio = median(mine[row] / theirs[row] for mine, theirs in zip(ours, rounds, strict=True))
            line += f"{median(each[row] for each in rounds):15.1f}"
            line += f"{'' if name == 'project' else f'{ratio:.2f}x':>8}"
        print(line)


if __name__ == "__main__":
    main()
