"""The login page compared with the smallest JSON route: time in the process, and server throughput.

    uv run python benchmarks/pages.py [--project folder] [--rounds 10] [--seconds 1]

Renders a project with Copier. `GET /login` and `GET /healthz` take turns, so changes in machine speed
affect both. Fails if the page takes 2 ms or more in the process, or if the server delivers less than half as
many pages as JSON responses.
"""

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from statistics import median

from load import once, request, run
from peers import free_port, render, say

PAGE, JSON = "/login", "/healthz"
LONGEST = 2.0
"""The maximum time in milliseconds that a page may take in the process."""
SMALLEST = 0.5
"""The minimum ratio of pages to JSON responses that the server delivers in the same time."""
CONNECTIONS = 16
IN_PROCESS = """
import asyncio, json, sys, time
from app.asgi import app

async def seconds_of(path):
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"text/html"), (b"accept-language", b"en")],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "state": {},
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    began = time.perf_counter()
    await app(scope, receive, send)
    took = time.perf_counter() - began
    assert sent[0]["status"] == 200, sent
    return took

async def main():
    paths = sys.argv[1:]
    for path in paths * 200:
        await seconds_of(path)
    print(json.dumps([[await seconds_of(path) for path in paths] for _ in range(2000)]))

asyncio.run(main())
"""
"""Prints a list for each turn, with the duration in seconds of a request to each path."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--project", type=Path, help="a generated project to use instead of a new one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = (options.project or render(Path(folder) / "project")).resolve()
        environment = {
            **os.environ,
            "SECRET_KEY": secrets.token_hex(32),
            "ENVIRONMENT": "test",
            "MAIL_BACKEND": "memory",
            "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/pages.db",
        }
        environment.pop("VIRTUAL_ENV", None)
        tool = ["uv", "run", "--quiet", "--directory", str(project)]
        subprocess.run(
            [*tool, "python", "-m", "app.cli", "db", "upgrade"],
            env=environment,
            check=True,
            capture_output=True,
        )
        cost = in_process([*tool, "python", "-c", IN_PROCESS, PAGE, JSON], environment)
        ratios = served(
            [*tool, "python", "-m", "granian", "--interface", "asgi", "--workers", "1"], environment, options
        )
    report(cost, ratios)


def in_process(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """The median time in milliseconds for a page and for a JSON response."""
    say("measuring in the process")
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    pages, responses = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    return 1000 * median(pages), 1000 * median(responses)


def served(
    command: list[str], environment: dict[str, str], options: argparse.Namespace
) -> list[tuple[float, float]]:
    """Pages and JSON responses per second, by round."""
    port = free_port()
    server = subprocess.Popen(
        [*command, "--port", str(port), "app.asgi:app"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return asyncio.run(measure(port, options.rounds, options.seconds))
    finally:
        server.terminate()
        server.wait(15)


async def measure(port: int, rounds: int, seconds: float) -> list[tuple[float, float]]:
    await wait_for(port)
    found: list[tuple[float, float]] = []
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        rates = []
        for path in (PAGE, JSON):
            load = await run(port, request("GET", path), connections=CONNECTIONS, seconds=seconds)
            rates.append(load.require(200).per_second)
        found.append((rates[0], rates[1]))
    return found


async def wait_for(port: int) -> None:
    for _ in range(300):
        with suppress(OSError):
            if once(port, request("GET", JSON))[0] == 200:
                return
        await asyncio.sleep(0.1)
    raise SystemExit("the server did not start")


def report(cost: tuple[float, float], rates: list[tuple[float, float]]) -> None:
    ratio = median(page / response for page, response in rates)
    pages, responses = (median(column) for column in zip(*rates, strict=True))
    print(f"in the process: GET {PAGE} {cost[0]:.2f} ms, GET {JSON} {cost[1]:.2f} ms")
    print(f"from a server:  GET {PAGE} {pages:.0f}/s, GET {JSON} {responses:.0f}/s, ratio {ratio:.2f}")
    if cost[0] >= LONGEST or ratio < SMALLEST:
        sys.exit(f"expected: less than {LONGEST} ms, and a ratio of at least {SMALLEST}")


if __name__ == "__main__":
    main()
