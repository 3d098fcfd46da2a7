"""Copier's output is complete, well-formed and free of secrets, for every combination of answers."""

import ast
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from allpairspy import AllPairs
from conftest import REPOSITORY, Render, clean_environment, copier, project_of_template, run
from jinja2 import Environment
from jinja2_ansible_filters import AnsibleCoreFiltersExtension

QUESTIONS = {
    "database": ["sqlite", "postgresql"],
    "docker": [True, False],
    "ci": ["github", "gitlab", "none"],
    "example": [True, False],
    "pages": [True, False],
    "from_hawkapi_users": [False, True],
    "observability": [False, True],
    "totp": [False, True],
    "passkeys": [False, True],
    "email_login": [False, True],
    "pre_commit": [False, True],
    "devcontainer": [False, True],
    "vscode": [False, True],
    "mail_webhooks": [False, True],
    "update_workflow": [False, True],
}
COMBINATIONS = [dict(zip(QUESTIONS, row, strict=True)) for row in AllPairs(list(QUESTIONS.values()))]
NAMES = [
    "My app",
    "Bücher & Söhne",
    'Ada\'s "best" app',
    "🦅 hawk 👨‍👩‍👧",
    "3D printers",
    "日本語",
    "#hash: colon, [list] %percent",
    "x" * 60,
]
OF_OTHERS = re.compile(r"app/users/pages/|app/\w+/(?:emails|templates)/|tests/\w+/templates/|\.github/")
"""Files that contain braces that are not Copier's."""
OF_DOCKER = ["Dockerfile", ".dockerignore", "compose.yaml", "compose.production.yaml", "Caddyfile"]
OF_EDITORS = {"pre_commit": ".pre-commit-config.yaml", "devcontainer": ".devcontainer/", "vscode": ".vscode/"}
OF_UPDATES = {"github": ".github/workflows/template-update.yml", "gitlab": ".gitlab/template-update.yml"}
IMPORT = re.compile(r"(app|tests)/import_hawkapi_users/")
VENDORED = re.compile(r"static/vendor/")
PAGES = re.compile(r"(app|tests)/pages/")


def files_of(project: Path) -> dict[str, bytes]:
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("answers", COMBINATIONS, ids=lambda answers: "-".join(map(str, answers.values())))
def test_every_combination_is_complete_and_well_formed(
    render: Render, python: Path, answers: dict[str, object]
):
    project = render(**answers)

    files = files_of(project)
    assert_well_formed(project, files)
    assert {name in files for name in OF_DOCKER} == {answers["docker"]}
    assert (".github/workflows/ci.yml" in files) == (answers["ci"] == "github")
    assert (".github/dependabot.yml" in files) == (answers["ci"] == "github")
    assert (".github/workflows/image.yml" in files) == (answers["ci"] == "github" and answers["docker"])
    assert (".gitlab-ci.yml" in files) == (answers["ci"] == "gitlab")
    for ci, name in OF_UPDATES.items():
        assert (name in files) == (answers["ci"] == ci and answers["update_workflow"])
    assert ("app/notes/routes.py" in files, "tests/notes/test_notes.py" in files) == (answers["example"],) * 2
    assert ("migrations/versions/app_0002_notes.py" in files) == answers["example"]
    assert any(map(PAGES.match, files)) == answers["pages"]
    assert any(map(IMPORT.match, files)) == answers["from_hawkapi_users"]
    for feature, name in OF_EDITORS.items():
        assert any(each.startswith(name) for each in files) == answers[feature]
    run(python, "-m", "ruff", "check", cwd=project)
    run(python, "-m", "ruff", "format", "--check", cwd=project)


@pytest.mark.parametrize("name", NAMES)
def test_every_accepted_name_gives_a_working_project(
    render: Render, compiled: Render, python: Path, name: str
):
    project = render(project_name=name, project_description=name, author_name=name)

    assert_well_formed(project, files_of(project))
    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", metadata["name"])
    assert metadata["description"] == name
    # No .py file contains Jinja, so the code is the same in all projects, and compiling it here is enough.
    other = compiled()
    shutil.copy2(project / ".env", other / ".env")
    shown = run(python, "-m", "app.cli", "settings", cwd=other)
    assert re.search(rf"^APP_NAME +\.env +{re.escape(name)}$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("project_name=", "must not be empty"),
        ("project_name=" + "x" * 61, "60 characters"),
        ("project_name=a$b", "none of"),
        ("project_name=a{{b", "none of"),
        ("project_name=a\\b", "none of"),
        ("project_name=a\nb", "none of"),
        ("project_description=a\nb", "one line"),
        ("author_name=", "must not be empty"),
        ("author_email=ada", "name@example.com"),
        ("database=mysql", "Invalid choice"),
    ],
)
def test_an_invalid_answer_is_refused_with_a_reason(
    template: Path, tmp_path: Path, answer: str, sentence: str
):
    command = [
        sys.executable,
        "-m",
        "copier",
        "copy",
        "--defaults",
        "--data",
        answer,
        template,
        tmp_path / "p",
    ]

    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert sentence in done.stderr
    assert not (tmp_path / "p" / "pyproject.toml").exists()


def test_the_import_consists_of_two_unreferenced_folders(render: Render):
    without, project = files_of(render()), files_of(render(from_hawkapi_users=True))

    added = project.keys() - without.keys()
    assert [name for name in added if not IMPORT.match(name)] == []
    assert {name.partition("/")[0] for name in added} == {"app", "tests"}
    assert without.keys() - project.keys() == set()
    # Only the secret and the answers differ.
    different = {name for name, content in without.items() if project[name] != content}
    assert different == {".env", ".copier-answers.yml"}
    words = re.compile(rb"import[-_]hawkapi|from_hawkapi_users|imports? .*hawkapi-users|taken over")
    assert [name for name, content in without.items() if words.search(content)] == [".copier-answers.yml"]


def test_pages_have_their_own_folders(render: Render):
    without, project = files_of(render(pages=False)), files_of(render())

    assert [name for name in project.keys() - without.keys() if not PAGES.match(name)] == []
    assert without.keys() - project.keys() == set()
    different = {name for name, content in without.items() if project[name] != content}
    # The README describes the pages; it belongs to the owner, so updates do not change it.
    assert different == {".env", ".copier-answers.yml", "README.md"}


def test_the_import_command_exists_only_if_requested(render: Render, python: Path):
    without, project = render(), render(from_hawkapi_users=True)

    assert "import-hawkapi-users" not in run(python, "-m", "app.cli", "--help", cwd=without)
    assert "import-hawkapi-users" in run(python, "-m", "app.cli", "--help", cwd=project)


def test_two_renders_differ_only_in_the_secret(template: Path, tmp_path: Path):
    """One is rendered with `copier`, as people do it, and the other as the tests do it."""
    copier("copy", "--quiet", "--defaults", template, tmp_path / "one", cwd=tmp_path)
    project_of_template(template, tmp_path / "other")
    first, second = (files_of(tmp_path / name) for name in ("one", "other"))

    different = [name for name in first | second if first.get(name) != second.get(name)]
    assert different == [".env"]
    changed = [
        line
        for line in difflib.ndiff(first[".env"].decode().splitlines(), second[".env"].decode().splitlines())
        if line.startswith(("+", "-"))
    ]
    assert [line[:13] for line in changed] == ["- SECRET_KEY=", "+ SECRET_KEY="]


def test_the_secret_is_only_in_the_env_file(render: Render):
    files = files_of(render())

    secret = re.search(rb"SECRET_KEY=([0-9a-f]{64})\n", files.pop(".env")).group(1)
    assert [name for name, content in files.items() if secret in content] == []
    assert b".env\n" in files[".gitignore"]


def test_env_example_lists_exactly_the_settings(render: Render, python: Path):
    project = render()

    code = "import json, app.settings as s; print(json.dumps([f.upper() for f in s.Settings.model_fields]))"
    settings = json.loads(run(python, "-c", code, cwd=project))
    text = (project / ".env.example").read_text("utf-8")
    example = re.findall(r"^(?:# )?([A-Z0-9_]+)=", text, re.MULTILINE)
    assert sorted(example) == sorted(settings)
    in_use = re.findall(r"^([A-Z0-9_]+)=", (project / ".env").read_text("utf-8"), re.MULTILINE)
    assert set(in_use) <= set(settings)


def test_every_variable_of_docker_and_ci_is_a_setting(render: Render):
    project = render()
    settings = set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", (project / ".env.example").read_text(), re.MULTILINE))

    files = [project / "compose.yaml", project / "compose.production.yaml", project / "Caddyfile"]
    of_services = {
        name
        for file in files[:2]
        for service, content in yaml.safe_load(file.read_text())["services"].items()
        if service != "postgres"
        for name in content.get("environment", {})
    }
    of_the_image = set(
        re.findall(
            r"\b(ENVIRONMENT|[A-Z]+_(?:URL|KEY|BACKEND|HOST|PORT))=", (project / "Dockerfile").read_text()
        )
    )
    substituted = {name for file in files for name in re.findall(r"(?:\$\{|\{\$)([A-Z_]+)", file.read_text())}
    # Variables of Compose itself and of the PostgreSQL image.
    of_others = {"COMPOSE_PROJECT_NAME", "POSTGRES_PASSWORD"}
    assert "BASE_URL" in substituted
    assert of_services | of_the_image | substituted <= settings | of_others


def test_the_questions_explain_themselves():
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))

    asked = {
        name: question
        for name, question in questions.items()
        if not name.startswith("_") and question.get("when") is not False
    }
    assert list(asked) == [
        "project_name",
        "project_description",
        "author_name",
        "author_email",
        *QUESTIONS,
    ]
    assert [name for name, each in asked.items() if not each["help"].endswith("?")] == []
    assert [name for name, each in asked.items() if "default" not in each] == []


def test_nothing_needs_trust_and_jinja_stays_where_it_belongs():
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))
    paths = run("git", "ls-files", "-co", "--exclude-standard", "template", cwd=REPOSITORY).splitlines()

    assert not {"_tasks", "_jinja_extensions", "_migrations"} & set(questions)
    assert len([path for path in paths if path.endswith(".jinja")]) <= 6
    assert [path for path in paths if "{" in path] == ["template/{{_copier_conf.answers_file}}.jinja"]
    python_files = [REPOSITORY / path for path in paths if path.endswith(".py")]
    assert [path for path in python_files if re.search(r"\{\{|\{%", path.read_text("utf-8"))] == []


def test_the_message_after_the_copy_shows_at_most_four_commands(template: Path, tmp_path: Path):
    printed = copier("copy", "--defaults", template, tmp_path / "p", cwd=tmp_path)

    message = printed.partition("is ready. Next:")[2]
    commands = [line.strip() for line in message.splitlines() if line.startswith("  ")]
    assert commands[0] == f"cd {tmp_path / 'p'}"
    assert "uv run app dev" in commands
    assert len(commands) <= 4


@pytest.mark.parametrize("is_relative", [True, False])
def test_a_relative_template_path_causes_a_warning(template: Path, tmp_path: Path, is_relative: bool):
    """`app template-update` cannot use such a source."""
    source = Path(os.path.relpath(template, tmp_path)) if is_relative else template

    printed = copier("copy", "--defaults", source, tmp_path / "p", cwd=tmp_path)

    assert ("is relative" in printed) == is_relative


def assert_well_formed(project: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        # Vendored files stay as published, and a packed list is data: neither is a Copier template.
        text = "" if name.endswith(".gz") or VENDORED.search(name) else content.decode("utf-8")
        assert text.endswith("\n") or not text, f"{name} does not end its last line"
        assert not re.search(r"[ \t]+$|\n\n\n\n", text, re.MULTILINE), f"{name} has stray blanks"
        if not OF_OTHERS.search(name):
            assert not re.search(r"\{\{|\{%|%\}", text), f"Jinja is left in {name}"
        parse(name, text)
    assert [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


def parse(name: str, text: str) -> None:
    match Path(name).suffix:
        case ".py" | ".pyi":
            ast.parse(text, name)
        case ".toml":
            tomllib.loads(text)
        case ".yaml" | ".yml":
            yaml.safe_load(text)
        case ".json":
            json.loads(text)


def test_readme_links_existing_pages_of_the_template(render: Render):
    readme = (render() / "README.md").read_text("utf-8")

    pages = [Path(link) for link in re.findall(r"\]\((\S+/docs/\S+)\)", readme)]
    assert len(pages) >= 7
    assert [page for page in pages if not page.is_file()] == []


@pytest.mark.parametrize(
    ("source", "docs"),
    [
        ("/home/ada/template/", "/home/ada/template/docs"),
        ("gh:ada/template", "https://github.com/ada/template/blob/HEAD/docs"),
        ("https://github.com/ada/template.git", "https://github.com/ada/template/blob/HEAD/docs"),
        ("https://ada:token@git.example/a/b", "https://git.example/a/b/blob/HEAD/docs"),
        ("git@gitlab.com:ada/template.git", "https://gitlab.com/ada/template/blob/HEAD/docs"),
        ("ssh://git@git.example/a/b.git", "https://git.example/a/b/blob/HEAD/docs"),
        ("git+https://git.example/a/b", "https://git.example/a/b/blob/HEAD/docs"),
    ],
)
def test_readme_links_the_pages_wherever_the_template_is(source: str, docs: str):
    readme = (REPOSITORY / "template" / "README.md.jinja").read_text("utf-8")
    lines = [line for line in readme.splitlines() if line.startswith(("{% set source", "{% set docs"))]

    jinja = Environment(extensions=[AnsibleCoreFiltersExtension])  # Markdown, not HTML
    rendered = jinja.from_string("\n".join([*lines, "{{ docs }}"]))

    assert len(lines) == 2
    assert rendered.render(_copier_answers={"_src_path": source}).strip() == docs
