"""A TypeScript client that uses the routes compiles with types generated from the OpenAPI document."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Render, run

PACKAGES = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3"]
CLIENT = """
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


def test_a_client_compiles(compiled: Render, python: Path, tmp_path: Path):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm could not fetch {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
    secret = {"SECRET_KEY": os.urandom(32).hex()}
    document = run(python, "-m", "app.cli", "openapi", cwd=compiled(), env=secret)
    (tmp_path / "openapi.json").write_text(json.dumps(json.loads(document)), "utf-8")
    (tmp_path / "client.ts").write_text(CLIENT, "utf-8")

    run("npx", "openapi-typescript", "openapi.json", "--output", "schema.d.ts", cwd=tmp_path)
    options = ["--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext"]
    run("npx", "tsc", "--noEmit", *options, "--target", "es2022", "client.ts", cwd=tmp_path)
