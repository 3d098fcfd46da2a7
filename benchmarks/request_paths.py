"""Counts the files that a request passes through, and a project's lines of code.

    uv run python benchmarks/request_paths.py                # prints a table for a new project
    uv run python benchmarks/request_paths.py --files        # also lists the files, in order

After a warm-up request, traces one request of each kind with `sys.setprofile` and records the calls to
functions in `app/`. A move is a call to a function that is not in the same file as the previous one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))
MADE_BY_TOOLS = {".venv", ".git", "data", "uv.lock", ".pytest_cache", ".ruff_cache"}

TRACE = """
import asyncio, json, sys, threading
from pathlib import Path
import httpx
from app.main import create_app

APP = str(Path("app").resolve())
calls = []

def note(frame, event, argument):
    name = frame.f_code.co_filename
    if event == "call" and name.startswith(APP) and not frame.f_code.co_name.startswith("<"):
        calls.append(name[len(APP) + 1:])

async def main():
    app = create_app()
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        async def traced(method, path, **options):
            calls.clear()
            sys.setprofile(note)
            threading.setprofile(note)
            response = await client.request(method, path, **options)
            sys.setprofile(None)
            threading.setprofile(None)
            assert response.status_code < 500, response.text
            return response, list(calls)

        def account(name):
            return {"email": f"{name}@example.com", "password": "correct horse battery"}

        found = {}
        await traced("POST", "/users/register", json=account("warm"))
        _, found["POST /users/register"] = await traced("POST", "/users/register", json=account("ada"))
        login, _ = await traced("POST", "/users/login", json=account("ada"))
        _, found["POST /users/login"] = await traced("POST", "/users/login", json=account("ada"))
        wrong = account("ada") | {"password": "not the password"}
        _, found["POST /users/login, wrong password"] = await traced("POST", "/users/login", json=wrong)
        bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
        await traced("GET", "/users/me", headers=bearer)
        _, found["GET /users/me"] = await traced("GET", "/users/me", headers=bearer)
        _, found["GET /livez"] = await traced("GET", "/livez")
    app.state.users.hasher.close()
    await app.state.db.dispose()
    print(json.dumps(found))

asyncio.run(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--project", type=Path, help="a generated project to use instead of a new one")
    parser.add_argument("--python", type=Path, help="a Python with the project's dependencies")
    parser.add_argument("--files", action="store_true", help="print the files, too")
    options = parser.parse_args()
    from conftest import project_of_template, python_of_project, snapshot

    with tempfile.TemporaryDirectory() as folder:
        if options.project is None:
            template = Path(folder) / "template"
            template.mkdir()
            project = project_of_template(snapshot(template), Path(folder) / "project")
        else:
            project = options.project.resolve()
        python = options.python or python_of_project(project)
        paths = trace(project, python, Path(folder) / "traced.db")
        print_size(project)
    print_paths(paths)
    if options.files:
        for name, calls in paths.items():
            print(f"\n{name}\n  " + "\n  ".join(dict.fromkeys(calls)))
    return 0


def trace(project: Path, python: Path, database: Path) -> dict[str, list[str]]:
    """The file of each call in each request, in call order."""
    environment = os.environ | {
        "DATABASE_URL": f"sqlite+aiosqlite:///{database}",
        "BACKGROUND_WORKER": "separate",
        "LOG_LEVEL": "WARNING",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments], cwd=project, env=environment, text=True, capture_output=True
        )
        if done.returncode != 0:
            sys.exit(f"{done.stdout}{done.stderr}")
        return done.stdout

    run("-m", "app.cli", "db", "upgrade")
    return json.loads(run("-c", TRACE).splitlines()[-1])


def print_size(project: Path) -> None:
    print(f"{'':34}{'lines':>8}{'files':>8}")
    for name in ("app", "tests"):
        files = [path for path in (project / name).rglob("*.py") if "__pycache__" not in path.parts]
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in files)
        print(f"{name + ', Python':34}{lines:8,}{len(files):8}")
    every = [path for path in project.rglob("*") if path.is_file() and not is_made_by_tools(path, project)]
    print(f"{'all files':34}{'':8}{len(every):8}\n")


def is_made_by_tools(path: Path, project: Path) -> bool:
    top = path.relative_to(project).parts[0]
    return (
        top in {".venv", ".git", "data", "uv.lock", ".pytest_cache", ".ruff_cache"}
        or "__pycache__" in path.parts
    )


def print_paths(paths: dict[str, list[str]]) -> None:
    print(f"{'':34}{'files':>8}{'calls':>8}{'moves':>8}")
    for name, calls in paths.items():
        moves = sum(before != after for before, after in pairwise(calls))
        print(f"{name:34}{len(set(calls)):8}{len(calls):8}{moves:8}")


if __name__ == "__main__":
    sys.exit(main())
