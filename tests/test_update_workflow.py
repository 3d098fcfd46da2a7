"""The `update_workflow` workflows push a branch with the template's next version and open a pull or merge
request.

Their scripts run here as on GitHub and GitLab: each job runs in its own clone, and only the second job has
the token. A local server stands in for both services: their git servers and their APIs.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from conftest import REPOSITORY, clean_environment
from test_template_update import LINES, Repository, bare_git, first_version, fixed, project, template

__all__ = ["bare_git", "first_version", "project", "template"]

TOKEN = "the-token-that-can-write"
WORKFLOW = yaml.safe_load((REPOSITORY / "template/.github/workflows/template-update.yml").read_text("utf-8"))
PIPELINE = yaml.safe_load((REPOSITORY / "template/.gitlab/template-update.yml").read_text("utf-8"))
TOOL = REPOSITORY / "tests/personas/rendering_once.py"
UV = f"""#!/bin/sh
case "$*" in
    "run app template-update "*) shift 3; exec {shlex.join([sys.executable, "-P", str(TOOL)])} "$@";;
    # The project's tools, which all succeed.
    "run python "*|sync) exit 0;;
    *) exit 64;;
esac
"""


@dataclass
class Forge:
    """Stands in for GitHub and GitLab: a repository that accepts pushes with the token, and an API that
    records requests.
    """

    folder: Path
    url: str = ""
    status: int = 201
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def git(self, *arguments: str) -> str:
        return run("git", *arguments, cwd=self.folder / "shop.git")

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)").split()


@pytest.fixture
def forge(project: Repository, tmp_path: Path) -> Iterator[Forge]:
    """A forge with the project as `shop`."""
    forge = Forge(tmp_path / "forge")
    project.git("clone", "--quiet", "--bare", ".", str(forge.folder / "shop.git"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.startswith("/api/"):
                self.open_request(body)
            else:
                self.pass_to_git(body)

        do_POST = do_GET

        def open_request(self, body: bytes) -> None:
            allowed = TOKEN in (self.headers.get("PRIVATE-TOKEN"), self.headers.get("Authorization", "")[7:])
            status = forge.status if allowed else 401
            if status == 201:
                is_json = self.headers["Authorization"]
                form = {name: value for name, (value,) in parse_qs(body.decode()).items()}
                forge.requests.append((self.path, json.loads(body) if is_json else form))
            self.send_response(status)
            self.end_headers()

        def pass_to_git(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            credentials = b64decode(self.headers.get("Authorization", "")[6:]).decode()
            environment = {
                "GIT_PROJECT_ROOT": str(forge.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "CONTENT_LENGTH": str(len(body)),
                # Git requires a user name for a push.
                **({"REMOTE_USER": "a person"} if credentials.endswith(f":{TOKEN}") else {}),
            }
            done = subprocess.run(
                ["git", "http-backend"],
                env=clean_environment() | environment,
                input=body,
                capture_output=True,
                check=True,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        forge.url = f"http://127.0.0.1:{server.server_port}"
        yield forge
        server.shutdown()


@dataclass
class GitHub:
    """Runs the jobs of the workflow in clones of the repository."""

    forge: Forge
    folder: Path
    bin: Path
    results: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def update(self) -> None:
        self.run_job("update", "--quiet")

    def request(self) -> None:
        if evaluated(WORKFLOW["jobs"]["request"]["if"], {"needs": self.results}):
            self.run_job("request", "--quiet", "--depth=1")

    def run_job(self, name: str, *how: str) -> None:
        clone = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        run("git", "clone", *how, f"{self.forge.url}/shop.git", clone, cwd=self.folder)
        job, steps = WORKFLOW["jobs"][name], {}
        context = {
            "steps": steps,
            "needs": self.results,
            "secrets": {"TEMPLATE_UPDATE_TOKEN": TOKEN} if name == "request" else {},
        }
        for step in job["steps"]:
            if "run" not in step or not evaluated(step.get("if", "always"), context):
                continue
            output = self.folder / "output"
            output.write_text("")
            environment = {
                "RUNNER_TEMP": str(self.folder),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_REF_NAME": "main",
                "GITHUB_API_URL": f"{self.forge.url}/api",
                "GITHUB_REPOSITORY": "owner/shop",
                "PATH": f"{self.bin}:{os.environ['PATH']}",
            }
            own = {key: substituted(value, context) for key, value in step.get("env", {}).items()}
            run("bash", "-e", "-c", step["run"], cwd=clone, env=environment | own)
            if "id" in step:
                lines = output.read_text().splitlines()
                steps[step["id"]] = {"outputs": dict(line.split("=", 1) for line in lines)}
        results = job.get("outputs", {})
        outputs = {key: substituted(value, context) for key, value in results.items()}
        self.results[name] = {"outputs": outputs}

    def opened(self) -> dict[str, Any]:
        ((path, request),) = self.forge.requests
        assert path == "/api/repos/owner/shop/pulls"
        return request


@dataclass
class GitLab:
    """Runs the jobs of the pipeline in clones of the repository."""

    forge: Forge
    folder: Path
    bin: Path

    def update(self) -> None:
        self.run_job("template-update")
        self.artifacts = self.clone / "request"

    def request(self) -> None:
        self.run_job("open-merge-request", TEMPLATE_UPDATE_TOKEN=TOKEN)

    def run_job(self, name: str, **own: str) -> None:
        self.clone = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        run("git", "clone", "--quiet", f"{self.forge.url}/shop.git", self.clone, cwd=self.folder)
        run("git", "checkout", "--quiet", "--detach", cwd=self.clone)
        if own:
            shutil.copytree(self.artifacts, self.clone / "request", symlinks=True)
        environment = {
            "CI_PROJECT_URL": f"{self.forge.url}/shop",
            "CI_PROJECT_ID": "7",
            "CI_API_V4_URL": f"{self.forge.url}/api/v4",
            "CI_COMMIT_BRANCH": "main",
            "PATH": f"{self.bin}:{os.environ['PATH']}",
        }
        for script in PIPELINE[name]["script"]:
            run("bash", "-eo", "pipefail", "-c", script, cwd=self.clone, env=environment | own)

    def opened(self) -> dict[str, Any]:
        """The pull request, as GitHub would store it."""
        ((path, request),) = self.forge.requests
        assert path == "/api/v4/projects/7/merge_requests"
        title = request["title"]
        return {
            "title": title.removeprefix("Draft: "),
            "draft": title.startswith("Draft: "),
            "head": request["source_branch"],
            "base": request["target_branch"],
            "body": request["description"],
        }


@pytest.fixture(params=[GitHub, GitLab])
def service(request: pytest.FixtureRequest, forge: Forge, tmp_path: Path) -> GitHub | GitLab:
    """A CI service on which only the project's tools are fake."""
    for folder in ("bin", "runner"):
        (tmp_path / folder).mkdir()
    for name, script in {"uv": UV, "pip": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    return request.param(forge, tmp_path / "runner", tmp_path / "bin")


class Failed(Exception):
    """A script failed."""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=clean_environment() | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def evaluated(expression: str, context: dict[str, Any]) -> str:
    """The value of a workflow expression, for the expressions that this workflow uses."""
    if expression == "always":
        return expression
    found: Any = context
    for name in expression.partition(" || ")[0].split("."):
        found = found.get(name, {})
    return found or ""


def substituted(text: str, context: dict[str, Any]) -> str:
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: evaluated(match[1], context), text)


def test_a_request_has_the_merged_version_and_the_verdict(
    template: Repository, forge: Forge, service: GitHub | GitLab
) -> None:
    news = "# Changelog\n\n## 1.1.0\n\n- Better (`app/code.py`).\n"
    template.commit({"template/app/code.py": fixed(3), "CHANGELOG.md": news}, tag="1.1.0")

    service.update()
    before = forge.branches()
    service.request()

    opened = service.opened()
    assert (before, forge.branches()) == (["main"], ["main", "template-update/1.1.0"])
    assert forge.git("show", "template-update/1.1.0:app/code.py") == fixed(3)
    changed = forge.git("diff", "--name-only", "main", "template-update/1.1.0").split()
    assert changed == [".copier-answers.yml", "app/code.py"]
    assert (opened["title"], opened["draft"]) == ("Template 1.1.0", False)
    assert (opened["head"], opened["base"]) == ("template-update/1.1.0", "main")
    assert opened["body"].startswith("**The update merges without a conflict. Ruff and the tests pass.**\n")
    assert "- Better (`app/code.py`)." in opened["body"]
    tip = forge.git("rev-parse", "template-update/1.1.0")
    service.update()
    service.request()
    assert (len(forge.requests), forge.git("rev-parse", "template-update/1.1.0")) == (1, tip)


def test_conflicts_open_a_draft_with_markers_even_after_a_failure(
    template: Repository, project: Repository, forge: Forge, service: GitHub | GitLab
) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    project.git("push", "--quiet", str(forge.folder / "shop.git"), "main")
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    service.update()
    forge.status = 422
    with pytest.raises(Failed):
        service.request()
    refused = forge.branches()
    forge.status = 201
    service.request()

    opened = service.opened()
    assert refused == ["main"]
    assert (opened["title"], opened["draft"]) == ("Template 1.1.0", True)
    assert "<<<<<<< yours\nmine\n=======\nline 3, mended\n>>>>>>> the template's\n" in forge.git(
        "show", "template-update/1.1.0:app/code.py"
    )
    assert opened["body"].startswith("**1 conflict. Do not merge this until every conflict is resolved.**\n")
    assert "- [ ] `app/code.py`, line 3: you and the template changed the same lines." in opened["body"]
    assert "uv run app template-update --continue" in opened["body"]


def test_without_a_new_version_nothing_is_opened(forge: Forge, service: GitHub | GitLab) -> None:
    service.update()
    service.request()

    assert (forge.branches(), forge.requests) == (["main"], [])


@pytest.mark.parametrize("service", [GitHub], indirect=True)
def test_on_github_no_changed_workflow_is_pushed(
    template: Repository, project: Repository, forge: Forge, service: GitHub
) -> None:
    """CWE-829: a pushed workflow runs with the repository's secrets before anyone has reviewed it."""
    project.commit({".github/workflows/ci.yml": "on: push\n", ".github/own.md": "Ours.\n"})
    project.git("push", "--quiet", str(forge.folder / "shop.git"), "main")
    files = {"app/code.py": fixed(3), ".github/workflows/new.yml": "on: push # evil\n"}
    template.commit({f"template/{path}": text for path, text in files.items()}, tag="1.1.0")

    service.update()
    service.request()

    branch = "template-update/1.1.0"
    assert forge.git("diff", "--name-only", "main", branch).split() == [".copier-answers.yml", "app/code.py"]
    assert forge.git("rev-list", "--count", f"main..{branch}").strip() == "1"
    assert "The changes to `.github` are not in the branch." in service.opened()["body"]
    assert "\n+on: push # evil\n" in service.opened()["body"]


@pytest.mark.parametrize("service", [GitLab], indirect=True)
def test_on_gitlab_no_link_is_sent(template: Repository, forge: Forge, service: GitLab) -> None:
    """CWE-59: the description could be a link to the environment of the job that has the token."""
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    service.update()
    summary = service.artifacts / "summary.md"
    summary.unlink()
    summary.symlink_to("/proc/self/environ")

    with pytest.raises(Failed, match="something other than files"):
        service.request()

    assert (forge.branches(), forge.requests) == (["main"], [])


def test_only_the_job_that_runs_nothing_of_the_update_can_write() -> None:
    """CWE-250: code from a new version or from a dependency must not be able to push."""
    update, request = (WORKFLOW["jobs"][name] for name in ("update", "request"))

    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert ("permissions" in update, "secrets." in json.dumps(update), "TOKEN" in json.dumps(update)) == (
        False,
        False,
        False,
    )
    assert request["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert "uv" not in " ".join(step.get("run", "") for step in request["steps"])
    checkouts = [
        step for job in (update, request) for step in job["steps"] if "checkout" in step.get("uses", "")
    ]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False, False]


def test_on_gitlab_the_token_belongs_to_the_environment_of_the_job_that_pushes() -> None:
    update, request = (PIPELINE[name] for name in ("template-update", "open-merge-request"))

    assert ("environment" in update, "TOKEN" in json.dumps(update)) == (False, False)
    assert request["environment"] == {"name": "template-update", "action": "access"}
    assert "uv" not in " ".join(request["script"])
