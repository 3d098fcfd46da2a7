"""The files for editors and git hooks refer only to things that exist, and do what they claim to do."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import Render, clean_environment, commit, environment_of, run

PRE_COMMIT = "pre-commit==4.7.0"
UNTIDY = "import os\nx = {  'a':1 }\n"


@pytest.fixture(scope="module")
def project(render: Render) -> Path:
    project = render(pre_commit=True, devcontainer=True, vscode=True)
    run("git", "init", "--quiet", cwd=project)
    commit(project, "Generated")
    return project


def test_the_hooks_accept_a_new_project_and_refuse_untidy_code(project: Path, python: Path, tmp_path: Path):
    """The pyright hook is skipped: it runs as in CI, and takes too long here."""
    pre_commit = environment_of("pre-commit", PRE_COMMIT.encode(), PRE_COMMIT).parent / "pre-commit"
    (tmp_path / "uv").write_text(f'#!/bin/sh\nshift\nmodule=$1\nshift\nexec {python} -m "$module" "$@"\n')
    (tmp_path / "uv").chmod(0o755)
    environment = clean_environment()
    environment |= {
        "PATH": f"{tmp_path}:{environment['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "home"),
        "SKIP": "pyright",
    }

    def hooks(*arguments: str) -> int:
        command = [pre_commit, "run", *arguments]
        return subprocess.run(
            command, cwd=project, env=environment, capture_output=True, check=False
        ).returncode

    accepted = hooks("--all-files")
    (project / "app" / "untidy.py").write_text(UNTIDY)
    run("git", "add", "--all", cwd=project)
    refused = hooks()

    assert (accepted, refused) == (0, 1)
    assert (project / "app" / "untidy.py").read_text() == 'x = {"a": 1}\n'
    run("git", "reset", "--quiet", "--hard", cwd=project)


def test_the_hooks_check_what_ci_checks(project: Path):
    hooks = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    workflow = (project / ".github/workflows/ci.yml").read_text()

    for hook in hooks:
        assert f"run: {hook['entry'].partition(' --')[0]}\n" in workflow.replace(" --check\n", "\n")


def test_the_debugger_starts_commands_that_exist(project: Path, python: Path):
    configurations = json.loads((project / ".vscode/launch.json").read_text())["configurations"]
    settings = json.loads((project / ".vscode/settings.json").read_text())
    example = (project / ".env.example").read_text()

    for each in configurations:
        assert each["type"] == "debugpy"
        arguments = [part for part in each["args"] if part != "${file}"]
        run(python, "-m", each["module"], *arguments, "--help", cwd=project)
        for name in each.get("env", {}).keys() - {"PYTHONBREAKPOINT"}:
            assert f"# {name}=" in example
    assert settings["python.testing.pytestArgs"] == ["tests"]


def test_the_development_container_has_the_databases(project: Path, render: Render):
    folder = project / ".devcontainer"
    container = json.loads((folder / "devcontainer.json").read_text())
    services = yaml.safe_load((folder / container["dockerComposeFile"]).read_text())["services"]
    app = services[container["service"]]
    example = (project / ".env.example").read_text()

    assert app["volumes"][0].startswith(f"..:{container['workspaceFolder']}")
    assert f"/bash {container['remoteUser']} " in app["build"]["dockerfile_inline"]
    for name, url in app["environment"].items():
        assert re.search(rf"^(# )?{name.removeprefix('TEST_')}=", example, re.MULTILINE)
        assert re.search(r"[@/](\w+):\d+/", url)[1] in services
    assert app["depends_on"].keys() == services.keys() - {container["service"]}


def test_the_recommended_extensions_are_the_same(project: Path):
    recommended = json.loads((project / ".vscode/extensions.json").read_text())["recommendations"]
    container = json.loads((project / ".devcontainer/devcontainer.json").read_text())

    assert container["customizations"]["vscode"]["extensions"] == recommended
