"""A generated project compared with its peers: the same routes, server and kind of database, in one run.

    uv run --group benchmarks python benchmarks/users_routes.py [--database-url postgresql+asyncpg://...]

Renders a project with Copier. Serves the project, an application built on hawkapi-users and one built on
fastapi-users, each with granian and one worker. They take turns, so changes in machine speed affect all of
them. Prints ratios, because only ratios are comparable between machines. `--help` lists the other options.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median

from peers import Peer, render, say, servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database-url", help="a PostgreSQL server (SQLite files by default)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--project", type=Path, help="a generated project to use instead of a new one")
    parser.add_argument("--me-only", action="store_true", help="leave out the logins, which take the longest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = options.project or render(Path(folder) / "project")
        with servers(project.resolve(), Path(folder), options.database_url) as peers:
            results = asyncio.run(measure(peers, options.rounds, options.seconds, options.me_only))
    report(results)


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
    current_user, milliseconds = await peer.me(seconds)
    row = {"GET /users/me, requests/s": current_user.per_second, "GET /users/me, CPU ms": milliseconds}
    if me_only:
        return row
    alone = await peer.logins(seconds)
    meanwhile, trivial = await peer.logins_and_trivial(seconds)
    if peer.kind.name == "project":
        # The other applications issue no refresh tokens.
        row["refresh, token pairs/s"] = (await peer.refreshes(seconds)).per_second
    return row | {
        "register, accounts/s": (await peer.registrations(seconds)).per_second,
        "log in, logins/s": alone.per_second,
        "log in during GET /healthz, logins/s": meanwhile.per_second,
        "GET /healthz during logins, requests/s": trivial.per_second,
        "GET /healthz during logins, p50 ms": trivial.percentile(0.50),
        "GET /healthz during logins, p99 ms": trivial.percentile(0.99),
    }


def report(results: dict[str, list[Row]]) -> None:
    """Print the medians and, for each peer, the median project-to-peer ratio over all rounds."""
    ours = results["project"]
    print(" " * 40 + "".join(f"{name:>15}{'' if name == 'project' else ' ratio':>8}" for name in results))
    for row in ours[0]:
        line = f"{row:40}"
        for name, rounds in results.items():
            if row not in rounds[0]:
                line += f"{'-':>15}{'':>8}"
                continue
            ratio = ratio_of([mine[row] for mine in ours], [theirs[row] for theirs in rounds])
            line += f"{median(each[row] for each in rounds):15.1f}"
            line += f"{'' if name == 'project' else f'{ratio:.2f}x':>8}"
        print(line)


def ratio_of(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios. In a round, the applications are measured one right after the other,
    so changes in machine speed affect all of them.
    """
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    main()
