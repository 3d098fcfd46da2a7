"""A generated project passes its own checks and its own tests, on SQLite and on PostgreSQL."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY, WITH_FEATURES, Render, run
from test_render import files_of
from test_upgrade import ADA, USE

PUBLIC = {"id", "email", "is_active", "is_verified", "is_superuser"}
SESSION = {
    *("id", "kind", "created_at", "authenticated_at", "last_seen_at"),
    *("expires_at", "ip_address", "user_agent", "browser", "is_current"),
}
LARGEST: dict[str, object] = {"from_hawkapi_users": True, **WITH_FEATURES}
SMALLEST: dict[str, object] = {
    "database": "postgresql",
    "docker": False,
    "ci": "none",
    "example": False,
    "pages": False,
    "project_name": 'Ada\'s "best" Bücher 🦅',
}
CONFIGURATION = {"devcontainer", "docker", "pre_commit", "update_workflow", "vscode"}
"""Features without code. test_deployment.py, test_editors.py and test_update_workflow.py check them."""
FEATURES = sorted(yaml.safe_load((REPOSITORY / "features.yml").read_text("utf-8")).keys() - CONFIGURATION)
OF_THE_WHOLE = [
    "tests/web",
    "tests/test_features.py",
    "tests/test_migrations.py",
    "tests/test_settings.py",
    "tests/users/test_security_document.py",
]
SUITE = ["-m", "pytest", "-q"]
PROJECTS = pytest.mark.parametrize("answers", [LARGEST, SMALLEST], ids=["everything", "least"])


def suite_of(answers: dict[str, object]) -> list[str]:
    """The Python arguments that run the suite. Long tests run in only one project, because they are the same
    in all.
    """
    return [*SUITE, *(["--all"] if answers is LARGEST else [])]


@PROJECTS
def test_pyright_finds_nothing(compiled: Render, python: Path, answers: dict[str, object]):
    project = compiled(**answers)
    (project / ".venv").symlink_to(python.parent.parent)

    assert "0 errors, 0 warnings" in run(python, "-m", "pyright", cwd=project)


@pytest.mark.minutes
def test_the_suite_passes_on_sqlite(compiled: Render, python: Path):
    summary = run(python, *suite_of(LARGEST), cwd=compiled(**LARGEST)).splitlines()[-1]

    # Tests that require PostgreSQL are skipped here; the next test allows no skips.
    assert "failed" not in summary


@pytest.mark.minutes
@PROJECTS
def test_the_suite_passes_on_postgresql(
    compiled: Render, python: Path, postgresql: str, redis: str, answers: dict[str, object]
):
    project = compiled(**answers)

    environment = {"TEST_DATABASE_URL": postgresql, "TEST_REDIS_URL": redis, "REQUIRE_SERVICES": "1"}
    summary = run(python, *suite_of(answers), cwd=project, env=environment)

    assert "skipped" not in summary.splitlines()[-1]


@pytest.mark.minutes
@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_works_without_the_others(compiled: Render, render: Render, python: Path, feature: str):
    """Run the feature's own tests, and the tests that look at the whole application.

    Pyright checks the same files in the largest project. Here, the modules that they import must exist.
    """
    project = compiled(**SMALLEST | {feature: True})
    files = sorted(files_of(project).keys() - files_of(render(**SMALLEST)).keys())
    own = [name for name in files if re.match(r"tests/.*/test_\w+\.py", name)]
    code = [name for name in files if name.endswith(".py")]

    summary = run(python, *SUITE, *OF_THE_WHOLE, *own, cwd=project).splitlines()[-1]

    assert [name for name in code if missing_modules(project, name)] == []
    assert own
    assert "skipped" not in summary


def missing_modules(project: Path, path: str) -> list[str]:
    """The project's modules that a file imports, including within functions, but that do not exist."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse((project / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            package = project / node.module.replace(".", "/") / "__init__.py"
            defined = package.read_text("utf-8") if package.is_file() else ""
            imported |= {node.module}
            # `from app import tasks` imports a module, unless the package defines the name.
            imported |= {
                f"{node.module}.{each.name}"
                for each in node.names
                if package.is_file() and not re.search(rf"\b{each.name}\b", defined)
            }
    own = {name: project / name.replace(".", "/") for name in imported if re.match(r"(app|tests)\b", name)}
    return [name for name, at in own.items() if not (at.is_dir() or at.with_suffix(".py").is_file())]


def test_the_smallest_project_has_no_code_of_its_own(render: Render):
    """Its suite therefore runs on only one database: the largest project runs the same tests on the other."""
    largest, smallest = (files_of(render(**answers)) for answers in (LARGEST, SMALLEST))

    own = [name for name, content in smallest.items() if content != largest.get(name)]
    assert [name for name in own if name.endswith((".py", ".html", ".txt"))] == []


def test_responses_reveal_exactly_what_the_contract_allows(compiled: Render, python: Path, tmp_path: Path):
    """The project's tests allow custom fields; a new project has none."""
    project = compiled()
    url = {"DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"}

    def use(*requests: tuple[str, str, object, dict[str, str]]) -> list[dict[str, dict[str, object]]]:
        output = run(python, "-c", USE, json.dumps(requests), cwd=project, env=url)
        return [body for _, body in json.loads(output.splitlines()[-1])]

    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=url)
    registered, logged_in = use(("POST", "/users/register", ADA, {}), ("POST", "/users/login", ADA, {}))
    run(python, "-m", "app.cli", "users", "promote", ADA["email"], cwd=project, env=url)
    token = {"Authorization": f"Bearer {logged_in['access_token']}"}
    paths = ("/users/me", f"/users/{registered['id']}", "/users/me/export")
    me, managed, export = use(*(("GET", path, None, token) for path in paths))
    (listed,) = use(("GET", "/users/me/sessions", None, token))
    (refreshed,) = use(("POST", "/users/token/refresh", {"refresh_token": logged_in["refresh_token"]}, {}))

    assert set(registered) == set(me) == PUBLIC
    assert set(refreshed) == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert set(logged_in) == PUBLIC | set(refreshed)
    assert set(listed[0]) == SESSION
    assert set(managed) == PUBLIC | {"created_at", "updated_at", "delete_after", "must_reset_password"}
    assert set(export["account"]) == set(managed) | {
        "failed_logins",
        "language",
        "password_version",
        "pending_email",
    }


def test_the_suite_has_the_expected_size(compiled: Render, python: Path):
    project = compiled()

    collected = run(python, "-m", "pytest", "-q", "--collect-only", cwd=project).splitlines()[-1]

    assert int(collected.split()[0]) >= 150


def test_an_own_test_file_may_have_the_name_of_another(compiled: Render, python: Path):
    project = compiled()
    folder = project / "tests" / "billing"
    folder.mkdir()
    (folder / "words.py").write_text('PATH = "/healthz"\n', "utf-8")
    (folder / "conftest.py").write_text("from tests.billing.words import PATH as PATH\n", "utf-8")
    (folder / "test_login.py").write_text(
        "from tests.billing.conftest import PATH\n\n\n"
        "async def test_own(client):\n    assert (await client.get(PATH)).status_code == 200\n",
        "utf-8",
    )

    output = run(python, "-m", "pytest", "-q", "tests/billing", "tests/users/test_login.py", cwd=project)

    assert "passed" in output.splitlines()[-1]


def test_the_suite_is_isolated_from_the_environment(compiled: Render, python: Path):
    project = compiled()
    odd = {
        "ENVIRONMENT": "production",
        "DEBUG": "nonsense",
        "PASSWORD_MIN_LENGTH": "60",
        "USERS_PREFIX": "/x",
    }

    some = ["tests/test_settings.py", "tests/users/test_login.py", "tests/users/test_password_reset.py"]
    run(python, "-m", "pytest", "-q", *some, cwd=project, env=odd)
