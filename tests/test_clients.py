"""The clients in docs/clients.md, generated from the OpenAPI document, compile and work against a running
server.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import (
    REPOSITORY,
    WITH_FEATURES,
    Render,
    environment_of,
    free_port,
    missing,
    process,
    run,
    wait_for_server,
)

PAGE = (REPOSITORY / "docs" / "clients.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w.-]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PACKAGES = sorted(
    set(re.findall(r"[@\w/-]+@\d+\.\d+\.\d+", " ".join(re.findall("^npm .*$", PAGE, re.MULTILINE))))
)
RUNNER = "tsx@4.23.15"
PYTHON_GENERATOR = "openapi-python-client==0.29.1"
TSC = (
    *("npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler"),
    *("--module", "esnext", "--target", "es2022"),
)

TYPES = """
import createClient from "openapi-fetch";
import type { operations, paths } from "./schema";

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8000" });

export async function use(): Promise<string> {
  // Fields with a default are optional in a request.
  await client.POST("/users/login/cookie", { body: { email: "", password: "" } });
  await client.POST("/users/verify/{token}", { params: { path: { token: "" } }, body: {} });
  await client.PATCH("/users/{user_id}", { params: { path: { user_id: "" } }, body: { is_active: false } });
  await client.POST("/notes", { body: { title: "" } });
  const { data, error } = await client.POST("/users/register", { body: { email: "", password: "" } });
  if (error !== undefined) return error.code;
  // @ts-expect-error Required fields are not.
  await client.POST("/users/login", { body: { email: "" } });
  const login = await client.POST("/users/login", { body: { email: data.email, password: "" } });
  // Fields with a default are always there in a response.
  return login.data === undefined ? login.error.errors?.[0]?.code ?? "" : login.data.token_type;
}

type Conflict = operations["register"]["responses"][409]["content"]["application/problem+json"]["code"];
export const taken: Conflict = "email_taken";
// @ts-expect-error The codes are known.
export const unknown: Conflict = "email_takn";
export const linked: keyof operations = "verify_by_token";
"""


@pytest.fixture
def folder(compiled: Render, python: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder with a running application's OpenAPI document and with the page's files."""
    port, project, folder = free_port(), compiled(**WITH_FEATURES), tmp_path / "front-end"
    folder.mkdir()
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    environment = {
        "SECRET_KEY": os.urandom(32).hex(),
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'app.db'}",
    }
    document = run(python, "-m", "app.cli", "openapi", cwd=project, env=environment)
    (folder / "openapi.json").write_text(document, "utf-8")
    for name, text in FILES.items():
        own = text.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{port}")
        (folder / name).write_text(own.replace("ada@", f"{Path(name).stem}@"), "utf-8")
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    serve = (python, "-m", "app.cli", "serve", "--port", str(port))
    with (
        process(*serve, cwd=project, log=tmp_path / "log", env=environment) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for_server(client, server)
        yield folder


def commands(start: str) -> list[list[str]]:
    """The commands on the page that start with *start*."""
    return [shlex.split(line) for line in re.findall(f"^{start} .*$", PAGE, re.MULTILINE)]


@pytest.mark.minutes
def test_the_typescript_clients_compile_and_work(folder: Path):
    npm = shutil.which("npm")
    if npm is None:
        missing("npm is not installed")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES, RUNNER]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm could not fetch {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
    (folder / "types.ts").write_text(TYPES, "utf-8")
    clients = [name for name in FILES if name.endswith(".ts")]

    for command in commands("npx"):
        run(*command, cwd=folder)
    run(*TSC, "types.ts", *clients, cwd=folder)

    assert len(clients) == 2
    for name in clients:
        assert run("npx", "tsx", name, cwd=folder) == f"{Path(name).stem}@example.com\n"


@pytest.mark.minutes
def test_the_python_client_compiles_and_works(folder: Path, python: Path):
    tools = environment_of("clients", PYTHON_GENERATOR.encode(), PYTHON_GENERATOR)
    ((_, package, *arguments),) = commands("uvx")
    assert package.replace("@", "==") == PYTHON_GENERATOR

    said = run(tools.parent / "openapi-python-client", *arguments, cwd=folder)

    assert "warning" not in said.lower()
    run(python, "-m", "pyright", "--pythonpath", tools, "python_client.py", cwd=folder)
    assert run(tools, "python_client.py", cwd=folder) == "python_client@example.com\n"
