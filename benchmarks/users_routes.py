"""A generated project against hawkapi-users 0.2.0: the same routes, server and database, in one run.

    uv run python benchmarks/users_routes.py [--database-url postgresql+asyncpg://...] [--rounds 3]

Renders a project with Copier, serves it and the library's application with granian (one worker each), and
lets them take turns, so that a machine that gets slower or faster does so for both. Prints ratios: only they
mean anything on another machine.
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
from pathlib import Path
from statistics import median

from load import Load, once, request, run

REPOSITORY = Path(__file__).resolve().parent.parent
JSON = {"Content-Type": "application/json"}
ACCOUNT = json.dumps({"email": "ada@example.com", "password": "correct horse battery"}).encode()
LOGIN = request("POST", "/users/login", headers=JSON, body=ACCOUNT)
TRIVIAL = request("GET", "/healthz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database-url", help="a PostgreSQL server; SQLite files by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        say("rendering a project")
        project = render(Path(folder) / "project")
        with servers(project, Path(folder), options.database_url) as (ours, library):
            results = asyncio.run(measure(ours, library, options.rounds, options.seconds))
    report(results)


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def render(project: Path) -> Path:
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "HEAD"]
    subprocess.run([*command, str(REPOSITORY), str(project)], check=True)
    return project


@contextmanager
def servers(project: Path, folder: Path, server_url: str | None) -> Iterator[tuple["Peer", "Peer"]]:
    """Both applications, served. Each has a database of its own."""
    say("installing what both need")
    tool = ["uv", "run", "--quiet", "--directory", str(project), "--with", "hawkapi-users==0.2.0"]
    subprocess.run([*tool, "python", "-c", "import hawkapi_users, app"], check=True)
    secret = secrets.token_hex(32)
    urls = [database_url(folder, server_url, name) for name in ("ours", "library")]
    running: list[subprocess.Popen[bytes]] = []
    peers: list[Peer] = []
    common = {**os.environ, "SECRET_KEY": secret, "ENVIRONMENT": "test", "MAIL_BACKEND": "memory"}
    common.pop("VIRTUAL_ENV", None)
    try:
        environment = {**common, "DATABASE_URL": urls[0]}
        subprocess.run([*tool, "app", "db", "upgrade"], env=environment, check=True, capture_output=True)
        for target, url in (("app.asgi:app", urls[0]), ("library_app:app", urls[1])):
            port = free_port()
            serve = ["granian", "--interface", "asgi", "--workers", "1", "--port", str(port), target]
            environment = {**common, "DATABASE_URL": url, "PYTHONPATH": str(Path(__file__).parent)}
            with (folder / f"{port}.log").open("wb") as log:
                running.append(subprocess.Popen([*tool, *serve], env=environment, stdout=log, stderr=log))
            peers.append(Peer(port, secret))
        for peer in peers:
            peer.wait_until_ready()
        yield peers[0], peers[1]
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
    """One of the two applications under load."""

    def __init__(self, port: int, secret: str) -> None:
        self.port = port
        self._secret = secret
        self._me = b""

    def wait_until_ready(self) -> None:
        for _ in range(300):
            try:
                if asyncio.run(once(self.port, TRIVIAL))[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"the server on port {self.port} did not start")

    async def register(self) -> None:
        status, _ = await once(self.port, request("POST", "/users/register", headers=JSON, body=ACCOUNT))
        assert status == 201, status
        _, body = await once(self.port, LOGIN)
        user = json.loads(body)
        token = user.get("access_token") or self._library_token(user["id"])
        self._me = request("GET", "/users/me", headers={"Authorization": f"Bearer {token}"})

    def _library_token(self, user_id: str) -> str:
        # hawkapi-users' login issues none; its README leaves that to the application.
        import jwt

        now = int(time.time())
        claims = {"sub": user_id, "iat": now, "exp": now + 3600, "type": "access", "aud": "benchmark"}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def me(self, seconds: float) -> Load:
        return (await run(self.port, self._me, connections=32, seconds=seconds)).require(200)

    async def logins(self, seconds: float) -> Load:
        """Eight clients log in and nothing else happens."""
        return (await run(self.port, LOGIN, connections=8, seconds=seconds)).require(200)

    async def logins_and_trivial(self, seconds: float) -> tuple[Load, Load]:
        """Eight clients log in; meanwhile four ask for a trivial route as fast as they can."""
        logins, trivial = await asyncio.gather(
            run(self.port, LOGIN, connections=8, seconds=seconds),
            run(self.port, TRIVIAL, connections=4, seconds=seconds),
        )
        return logins.require(200), trivial.require(200)


type Row = dict[str, float]


async def measure(ours: Peer, library: Peer, rounds: int, seconds: float) -> list[tuple[Row, Row]]:
    await ours.register()
    await library.register()
    for peer in (ours, library):
        await peer.me(1.0)
    results: list[tuple[Row, Row]] = []
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        results.append((await measure_one(ours, seconds), await measure_one(library, seconds)))
    return results


async def measure_one(peer: Peer, seconds: float) -> Row:
    me = await peer.me(seconds)
    alone = await peer.logins(seconds)
    meanwhile, trivial = await peer.logins_and_trivial(seconds)
    return {
        "GET /users/me, requests/s": me.per_second,
        "POST /users/login, logins/s": alone.per_second,
        "POST /users/login during GET /healthz, /s": meanwhile.per_second,
        "GET /healthz during logins, requests/s": trivial.per_second,
        "GET /healthz during logins, p50 ms": trivial.percentile(0.50),
        "GET /healthz during logins, p99 ms": trivial.percentile(0.99),
    }


def report(results: list[tuple[Row, Row]]) -> None:
    print(f"{'':44}{'project':>10}{'library':>10}{'ratio':>9}")
    for name in results[0][0]:
        ours = median(row[name] for row, _ in results)
        library = median(row[name] for _, row in results)
        ratio = median(row[name] / peer[name] for row, peer in results)
        print(f"{name:44}{ours:10.1f}{library:10.1f}{ratio:8.2f}x")


if __name__ == "__main__":
    main()
