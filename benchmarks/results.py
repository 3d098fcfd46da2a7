"""Measure everything and write the results page: `benchmarks/results.md`, its figures and its plots.

    uv run --group benchmarks python benchmarks/results.py
    uv run --group benchmarks python benchmarks/results.py --only routes growth      # keeps the other figures
    uv run --group benchmarks python benchmarks/results.py --only                    # redraws the page

Requires PostgreSQL (`--postgresql`) and takes about fifteen minutes. Run nothing else on the machine.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import growth
import plots
import updating
import users_routes
from footprint import memory_of, seconds_to_first_response, seconds_to_first_steps, served
from hardware_limits import hashes_per_second, queries_per_second
from load import request, run
from peers import (
    CONNECTIONS,
    EMAIL,
    JSON,
    PASSWORD,
    REPOSITORY,
    account,
    administer,
    database_url,
    once,
    render,
    say,
    servers,
)

HERE = Path(__file__).resolve().parent
FIGURES, PAGE, PLOTS = HERE / "results.json", HERE / "results.md", HERE / "plots"
PROCESSES = (1, 2, 4)


class Bench:
    """The sections of the page. Each method returns the figures for one section."""

    def __init__(self, folder: Path, postgresql: str, rounds: int, seconds: float) -> None:
        self._folder = folder
        self._postgresql = postgresql
        self._rounds = rounds
        self._seconds = seconds
        self.project = render(folder / "project")
        subprocess.run(["uv", "sync", "--quiet"], cwd=self.project, env=_without_venv(), check=True)

    def routes(self) -> dict[str, Any]:
        """Every application on both databases, in turn."""
        results: dict[str, Any] = {}
        for name, url in (("SQLite", None), ("PostgreSQL", self._postgresql)):
            say(name)
            (folder := self._folder / name).mkdir()
            with servers(self.project, folder, url) as peers:
                starts = {peer.kind.name: peer.start for peer in peers}
                at_rest = {peer.kind.name: memory_of(peer.pid) for peer in peers}
                rows = asyncio.run(users_routes.measure(peers, self._rounds, self._seconds, me_only=False))
                under_load = {peer.kind.name: memory_of(peer.pid) for peer in peers}
            results[name] = {
                peer: {
                    **{row: [each[row] for each in rounds] for row in rounds[0]},
                    "start to the first response, s": [starts[peer]],
                    "memory at rest, MB": [at_rest[peer]],
                    "memory after the load, MB": [under_load[peer]],
                }
                for peer, rounds in rows.items()
            }
        return results

    def limits(self) -> dict[str, float]:
        """The rate of logins, the machine's maximum rate of hashes, and the driver's own rate of reads."""
        with self._served() as (port, url):
            log_in = request("POST", "/users/login", headers=JSON, body=account(EMAIL))
            password_hash = _one_value(url, "SELECT hashed_password FROM users")
            raw: list[float] = []
            logins: list[float] = []
            for _ in range(self._rounds):
                raw.append(hashes_per_second(self.project, password_hash, PASSWORD, self._seconds))
                load = asyncio.run(run(port, log_in, connections=8, seconds=self._seconds))
                logins.append(load.require(200).per_second)
            return {
                "hashes/s, Argon2 only": median(raw),
                "log-ins/s": median(logins),
                "reads/s, asyncpg only": queries_per_second(url, self._seconds),
            }

    def footprint(self) -> dict[str, float]:
        """What one `app serve` process on SQLite uses, and how long a first response and an update take."""
        updates = updating.fastest(self._folder / "update")
        environment = self._environment(f"sqlite+aiosqlite:///{self._folder}/footprint.db")
        self._migrate(environment)
        with served(self.project, environment) as (_, pid, _):
            memory = memory_of(pid)
        return {
            "memory of `app serve` at rest, MB": memory,
            "`app serve` to its first response, s": seconds_to_first_response(self.project, environment),
            "`copier copy` to the first response of `app dev`, s": seconds_to_first_steps(self._folder),
            **{f"`{name}`, s": seconds for name, seconds in updates.items()},
        }

    def processes(self) -> dict[str, float]:
        """The rate of `GET /users/me`, by number of processes."""
        rates: dict[str, float] = {}
        for workers in PROCESSES:
            say(f"{workers} processes")
            with self._served(workers) as (port, _):
                log_in = request("POST", "/users/login", headers=JSON, body=account(EMAIL))
                tokens = [json.loads(once(port, log_in)[1])["access_token"] for _ in range(8)]
                requests = [
                    request("GET", "/users/me", headers={"Authorization": f"Bearer {token}"})
                    for token in tokens
                ]
                asyncio.run(run(port, *requests, connections=CONNECTIONS, seconds=1))
                load = asyncio.run(run(port, *requests, connections=CONNECTIONS, seconds=self._seconds))
                rates[str(workers)] = load.require(200).per_second
        return rates

    def growth(self) -> growth.Growth:
        """The latency of a project's routes, by number of accounts."""
        (folder := self._folder / "growth").mkdir()
        with servers(self.project, folder, self._postgresql, only="project") as (peer,):
            peer.register()
            return growth.measure(peer, self._seconds)

    # Helpers

    def _environment(self, url: str) -> dict[str, str]:
        return _without_venv() | {
            "DATABASE_URL": url,
            "SECRET_KEY": secrets.token_hex(32),
            "ENVIRONMENT": "test",
            "MAIL_BACKEND": "memory",
        }

    def _migrate(self, environment: dict[str, str]) -> None:
        command = [self.project / ".venv" / "bin" / "app", "db", "upgrade"]
        subprocess.run(command, cwd=self.project, env=environment, check=True, capture_output=True)

    @contextmanager
    def _served(self, workers: int = 1) -> Iterator[tuple[int, str]]:
        """Run `app serve` on a new PostgreSQL database. Yields its port and the URL of the database."""
        url = database_url(self._folder, self._postgresql, "project")
        environment = self._environment(url)
        try:
            self._migrate(environment)
            with served(self.project, environment, workers) as (port, _, _):
                once(port, request("POST", "/users/register", headers=JSON, body=account(EMAIL)))
                yield port, url
        finally:
            administer(self._postgresql, f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')


def _without_venv() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


def _one_value(url: str, query: str) -> Any:
    import asyncpg

    async def fetch() -> Any:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        value = await connection.fetchval(query)
        await connection.close()
        return value

    return asyncio.run(fetch())


def machine() -> str:
    """A description of this machine and of the software versions."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().partition("-")[0]
    python = platform.python_version()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {kernel}, Python {python}"


# The page


def page(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    parts = [
        "# Results\n",
        "Generated by `benchmarks/results.py`. The load generator runs on the same machine, so compare the",
        "ratios, not the rates. The applications take turns, each in one process of the same server with its",
        "own database. Figures are medians of several rounds. Ratios are medians of the rounds' ratios.\n",
        f"- {figures['machine']}\n- {figures['date']}\n",
        "## This template, hawkapi-users 0.2.0 and fastapi-users 15\n",
        "![Rates and latencies of the three applications](plots/comparison.png)\n",
    ]
    for database, rows in figures["routes"].items():
        parts += [f"### {database}\n", *_comparison(rows), ""]
    parts += ["## What the machine can do\n", *_table(figures["limits"]), ""]
    share = figures["limits"]["log-ins/s"] / figures["limits"]["hashes/s, Argon2 only"]
    parts += [f"Each login computes one hash. The login rate is {share:.0%} of the machine's hash rate.\n"]
    parts += ["## One process\n", *_table(figures["footprint"]), ""]
    parts += ["## More processes\n", "![Requests per second by number of processes](plots/processes.png)\n"]
    parts += [*_table({f"{count} processes": rate for count, rate in figures["processes"].items()}), ""]
    parts += ["## Up to a million accounts\n", "![Latency by number of accounts](plots/growth.png)\n"]
    sizes = list(next(iter(figures["growth"].values())))
    parts += [
        "| median, ms | " + " | ".join(f"{int(size):,}" for size in sizes) + " |",
        "|---|" + "--:|" * len(sizes),
        *(
            f"| `{route}` | " + " | ".join(f"{value:.2f}" for value in values.values()) + " |"
            for route, values in figures["growth"].items()
        ),
        "",
    ]
    return "\n".join(parts)


def _comparison(rows: dict[str, dict[str, list[float]]]) -> list[str]:
    own, *others = rows
    lines = [f"| | {own} | " + " | ".join(f"{name} | ratio" for name in others) + " |"]
    lines += ["|---|--:|" + "--:|--:|" * len(others)]
    for row, values in rows[own].items():
        cells = [
            f"{_number(median(theirs))} | {users_routes.ratio_of(values, theirs):.2f}" if theirs else "- | -"
            for theirs in (rows[name].get(row) for name in others)
        ]
        lines.append(f"| {row} | {_number(median(values))} | " + " | ".join(cells) + " |")
    return lines


def _table(values: dict[str, float]) -> list[str]:
    return ["| | |", "|---|--:|", *(f"| {name} | {_number(value)} |" for name, value in values.items())]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> None:
    sections: dict[str, Callable[[Bench], Any]] = {
        "routes": Bench.routes,
        "limits": Bench.limits,
        "footprint": Bench.footprint,
        "processes": Bench.processes,
        "growth": Bench.growth,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", default="postgresql+asyncpg://root@127.0.0.1:5432/postgres")
    parser.add_argument("--only", nargs="*", choices=sections, default=list(sections))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    options = parser.parse_args()
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if options.only:
        figures |= {"machine": machine(), "date": datetime.now(UTC).date().isoformat()}
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), options.postgresql, options.rounds, options.seconds)
            for name in options.only:
                say(name)
                figures[name] = sections[name](bench)
                FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    if missing := sections.keys() - figures.keys():
        raise SystemExit(f"Never measured: {', '.join(sorted(missing))}. Run without --only first.")
    # Read the figures back from JSON, so that a new page and a redrawn page are identical.
    figures = json.loads(FIGURES.read_text())
    plots.draw(figures, PLOTS)
    PAGE.write_text(page(figures))
    say(f"wrote {PAGE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
