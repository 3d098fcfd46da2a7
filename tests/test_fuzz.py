"""Schemathesis tests a served project against its own OpenAPI document, with all its checks.

tests/fuzz/ provides logins and handles the few responses that no schema can express. FUZZ_EXAMPLES=100 starts
a long run with at least ten thousand requests and a random seed.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import (
    REPOSITORY,
    Render,
    clean_environment,
    free_port,
    process,
    run,
    wait_for_server,
)

FUZZ = REPOSITORY / "tests" / "fuzz"
LOGINS = ["nobody", "ada", "root"]
EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
LEAST = 5_000 if EXAMPLES else 3_000
"""The minimum number of requests to one database, with all logins together."""


@pytest.mark.minutes
def test_every_request_gets_a_documented_response(
    compiled: Render, python: Path, tools_python: Path, database: str, tmp_path: Path
):
    with served(compiled(), python, database) as url:
        runs = [fuzz(tools_python, url, login, tmp_path) for login in LOGINS]
        document = httpx.get(f"{url}/openapi.json").json()

    for each in runs:
        assert each.status == 0, each.output
    cases = [each.report["test_cases"]["generated"] for each in runs]
    print(f"{dict(zip(LOGINS, cases, strict=True))}, {sum(cases)} requests in all")
    assert sum(cases) >= LEAST
    # Every operation must have succeeded at least once. Otherwise only its rejections would be tested.
    assert set().union(*(each.succeeded for each in runs)) >= operations_of(document)


def test_a_defect_is_found(compiled: Render, python: Path, tools_python: Path, tmp_path: Path):
    database = f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
    with served(compiled(), python, database, FUZZ_DEFECTS="1") as url:
        found = fuzz(tools_python, url, "ada", tmp_path, "--include-path-regex", "^/defects/")

    assert found.status == 1
    failures = {each["type"]: each["operations"] for each in found.report["failures"]}
    assert "GET /defects/error" in failures["ServerError"]
    assert "GET /defects/status" in failures["UndefinedStatusCode"]
    assert "GET /defects/login" in failures["IgnoredAuth"]


@dataclass
class Run:
    """The schemathesis run and its output."""

    status: int
    output: str
    report: dict
    succeeded: set[tuple[str, str]]
    """The operations, as method and path, that succeeded at least once."""


@contextmanager
def served(project: Path, python: Path, database: str, **environment: str) -> Iterator[str]:
    """Serve the application of tests/fuzz/served.py during the block. Yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment |= {
        "DATABASE_URL": database,
        "ENVIRONMENT": "test",
        "BASE_URL": url,
        "PYTHONPATH": str(FUZZ),
    }
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    granian = [python, "-m", "granian", "--interface", "asgi", "--port", str(port), "served:app"]
    with (
        process(*granian, cwd=project, log=project / "served.log", env=environment) as server,
        httpx.Client(base_url=url) as client,
    ):
        wait_for_server(client, server)
        yield url


def fuzz(python: Path, url: str, login: str, folder: Path, *options: str) -> Run:
    report, events = folder / f"{login}.json", folder / f"{login}.ndjson"
    done = subprocess.run(
        [
            *(python.parent / "schemathesis", "--config-file", FUZZ / "schemathesis.toml", "run"),
            *(f"{url}/openapi.json", "--checks", "all", "--continue-on-failure", "--no-color"),
            *("--max-examples", EXAMPLES or "4", "--generation-database", "none"),
            *([] if EXAMPLES else ["--seed", "1"]),
            *("--report-json-path", report, "--report-ndjson-path", events),
            *options,
        ],
        cwd=folder,
        env=clean_environment()
        | {
            "FUZZ_URL": url,
            "FUZZ_LOGIN": login,
            "FUZZ_LOGINS": str(FUZZ / "logins.yaml"),
            "PYTHONPATH": str(FUZZ),
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if not report.exists():
        raise AssertionError(done.stdout)
    return Run(done.returncode, done.stdout, json.loads(report.read_text()), set(succeeded(events)))


def succeeded(events: Path) -> Iterator[tuple[str, str]]:
    with events.open() as lines:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
            for identifier, interaction in scenario.get("interactions", {}).items():
                if (interaction.get("response") or {}).get("status_code", 500) < 300:
                    case = scenario["cases"][identifier]["value"]
                    yield case["method"], case["path"]


def operations_of(document: dict) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
