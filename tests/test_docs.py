"""Follows the pages of `docs/` in a new project: every instruction must work.

The fenced blocks of a page are processed in order: `sh` is run, `diff` applied, `text` must be in the output
of the last command, and a block below a line with only a path is written to that file. Other blocks are
ignored.
"""

import ast
import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from conftest import REPOSITORY, Render, commit, copier, drop_database, run, snapshot, uv_in

DOCS = REPOSITORY / "docs"
BLOCK = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
UV = """#!/bin/sh
# `uv run` in the environment that all tests share.
[ "$1" = run ] || {{ echo "only uv run" >&2; exit 64; }}
module=$2
shift 2
[ "$module" = app ] && module=app.cli
exec {python} -m "$module" "$@"
"""
UVX = """#!/bin/sh
exec "$UV" tool run "$@"
"""


@dataclass
class Reader:
    """A reader who follows a page in *project*."""

    project: Path
    env: dict[str, str]
    printed: str = ""
    folder: str = ""
    """The project's folder in a larger repository."""
    line_end: str = "\n"

    def follow(self, page: Path, *, runs: bool = True) -> None:
        """*runs*: whether to also run the page's commands."""
        blocks = list(BLOCK.finditer(page.read_text("utf-8")))
        assert blocks, f"{page.name} says nothing to do"
        for block in blocks:
            if block["path"]:
                self.write(block["path"], block["text"])
            elif runs or block["kind"] == "diff":
                self.do(block["kind"], block["text"])

    def do(self, kind: str, text: str) -> None:
        match kind:
            case "sh":
                if self.folder:
                    # The project is already in a repository.
                    text = text.replace("git init --quiet\n", "")
                self.printed = self.run("bash", "-euc", text)
            case "diff":
                patch = self.project.parent / "page.diff"
                # The header lines of a patch always have Unix line endings.
                head, at, lines = text.partition("@@")
                first, _, rest = lines.partition("\n")
                patch.write_text(f"{head}{at}{first}\n{self.ended(rest)}", "utf-8", newline="")
                self.run("git", "apply", patch)
                patch.unlink()
            case "text":
                assert text.strip() in self.printed.replace("\r\n", "\n")
            case _:
                pass

    def ended(self, text: str) -> str:
        """*text* with the line endings of the project."""
        return text.replace("\n", self.line_end)

    def write(self, path: str, text: str) -> None:
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.ended(text), "utf-8", newline="")

    def run(self, *command: str | Path) -> str:
        return run(*command, cwd=self.project, env=self.env)


@pytest.fixture
def env(python: Path, database: str, tmp_path: Path) -> dict[str, str]:
    """The reader's machine: `uv`, `uvx` and one kind of database."""
    bin = tmp_path / "bin"
    bin.mkdir()
    for name, script in {"uv": UV.format(python=shlex.quote(str(python))), "uvx": UVX}.items():
        (bin / name).write_text(script)
        (bin / name).chmod(0o755)
    server = (
        {}
        if database.startswith("sqlite")
        else {"TEST_DATABASE_URL": database.rpartition("/")[0] + "/postgres"}
    )
    return {"PATH": f"{bin}:{os.environ['PATH']}", "DATABASE_URL": database} | uv_in(python) | server


@pytest.fixture
def reader(compiled: Render, env: dict[str, str]) -> Reader:
    """A reader with a new, committed project."""
    reader = Reader(compiled(), env)
    reader.do("sh", "git init --quiet && git add --all && git commit --quiet --message Generated")
    return reader


# The ownership page is first, because it shows what happens when a project has no migrations of its own.
PAGES = ["ownership", "extending-the-user-model", "adding-a-module", "adding-a-page", "replacing-e-mails"]
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@ON_POSTGRESQL
@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_in_a_new_project(reader: Reader, page: str):
    reader.follow(DOCS / f"{page}.md")

    reader.do("sh", "uv run ruff check && uv run ruff format --check")
    reader.do("sh", "uv run app db upgrade && uv run app db check")


@ON_SQLITE
def test_the_code_of_all_pages_fits_into_one_project(reader: Reader, python: Path):
    """Pyright takes longer than everything else, so it checks the code of all pages in one run. The previous
    test runs their commands.
    """
    for page in PAGES:
        reader.follow(DOCS / f"{page}.md", runs=False)

    (reader.project / ".venv").symlink_to(python.parent.parent)
    reader.do("sh", "uv run ruff check && uv run ruff format --check")
    reader.do("sh", "uv run pyright")
    reader.do("text", "0 errors, 0 warnings")


# The page's commands use no database.
@ON_SQLITE
def test_the_import_page_can_be_followed(reader: Reader):
    """The rest of the page is in test_import_hawkapi_users.py."""
    page = (DOCS / "from-hawkapi-users.md").read_text("utf-8")
    folders = [reader.project / each / "import_hawkapi_users" for each in ("app", "tests")]
    turn_on, turn_off = re.findall(
        r"^```sh\n(uv run app (?:add|remove) .*\n(?:.*\n)*?)```$", page, re.MULTILINE
    )

    reader.do("sh", turn_on)
    turned_on = [folder.is_dir() for folder in folders]
    reader.do("sh", turn_off)

    assert turned_on == [True, True]
    reader.do("text", "both are gone")
    assert [folder.exists() for folder in folders] == [False, False]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_features_page_can_be_followed(reader: Reader):
    reader.follow(DOCS / "features.md")


@pytest.mark.minutes
@ON_POSTGRESQL
def test_the_second_factors_page_can_be_followed(reader: Reader):
    reader.follow(DOCS / "second-factors.md")
    reader.do("sh", "uv run app db check")
    reader.do("sh", "ls app")

    exported = (reader.project.parent / "second-factors.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["table"] for line in exported} == {
        "pending_logins",
        "recovery_codes",
        "totp_secrets",
    }
    assert not {"totp", "passkeys", "second_factors"} & {
        path.parent.name for path in (reader.project / "app").rglob("__init__.py")
    }


@pytest.mark.minutes
@ON_POSTGRESQL
def test_the_page_on_logins_by_mail_can_be_followed(reader: Reader):
    reader.follow(DOCS / "email-login.md")
    reader.do("sh", "uv run app db check")

    # The migrations are kept, because databases may have the table.
    assert not [*(reader.project / "app").glob("email_login*/__init__.py")]


@ON_SQLITE
def test_the_page_on_the_secret_key_can_be_followed(reader: Reader):
    keys = [secret_keys(reader.project)]

    reader.follow(DOCS / "changing-the-secret-key.md")

    keys.append(secret_keys(reader.project))
    assert [list(each) for each in keys] == [["SECRET_KEY"], ["SECRET_KEY"]]
    assert keys[0] != keys[1]


@ON_SQLITE
def test_the_sqlite_page_can_be_followed(reader: Reader, postgresql: str, python: Path):
    name = f"app_{uuid4().hex[:8]}"
    reader.env["TARGET_DATABASE_URL"] = f"{postgresql.rpartition('/')[0]}/{name}"
    try:
        reader.follow(DOCS / "sqlite.md")
    finally:
        drop_database(python, postgresql, name)

    assert (reader.project.parent / "backup.db").is_file()


def secret_keys(project: Path) -> dict[str, str]:
    lines = (project / ".env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("SECRET_KEY"))


@ON_SQLITE
def test_the_page_on_sending_mail_can_be_followed(reader: Reader):
    reader.follow(DOCS / "mail.md")
    reader.do("sh", "uv run app db check")


def test_the_errors_page_has_every_code():
    """tests/machinery/ checks that each of these codes has its status, and that there are no others."""
    page = (DOCS / "errors.md").read_text("utf-8")
    source = (REPOSITORY / "tests/machinery/test_error_codes.py").read_text("utf-8")
    known = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
    }

    codes = {code: int(status) for status, code in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)}
    assert codes == known["STATUSES"]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == known["FIELD_CODES"]


def test_every_copied_once_file_is_documented():
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))
    rows = re.findall(r"^\| (?:seeds|example) \| (.*?) \|", (DOCS / "ownership.md").read_text("utf-8"), re.M)

    named = re.findall(r"`([^`]+)`", " ".join(rows))
    assert sorted(named) == sorted(path.lstrip("/") for path in questions["_skip_if_exists"])


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *DOCS.glob("*.md")], ids=lambda page: page.name)
def test_every_link_points_to_a_file(page: Path):
    links = re.findall(r"\]\(([^):#]+)\)", page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).is_file()] == []


# Updates

NEWS = """## Unreleased

## 1.1.0

### Security

- A session that was ended could be used for a minute more (`app/users/sessions.py`).

### Changed

- The verification e-mail starts with a greeting (`app/users/emails/verify.txt`).
- Accounts have a time zone: run `uv run app db upgrade` (`users_0008`).

## 1.0.0
"""
TIME_ZONE = '''"""users: the time zone of a person"""

import sqlalchemy as sa
from alembic import op

revision = "users_0008"
down_revision = "users_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("time_zone", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_column("time_zone")
'''
CHANGES = {
    "CHANGELOG.md": ("## Unreleased\n", NEWS),
    "template/app/users/emails/verify.txt": ("Confirm your", "Hello! Confirm your"),
    "template/app/users/hooks.py": (
        "The address was verified.",
        "Time to say hello.",
    ),
    "template/app/users/models.py": (
        "\n    # Your own",
        "    time_zone: Mapped[str | None] = mapped_column(String(64), default=None)\n\n    # Your own",
    ),
    "template/app/users/sessions.py": ('"""\n', '"""\n# Mended in 1.1.0.\n'),
    "template/tests/test_smoke.py": ('"""\n', '"""\n# Mended in 1.1.0.\n'),
}
"""The changes of the next version, as described on the page."""


def format_with_black(project: Path) -> None:
    """Install Black in the project, and format its users module with it instead of ruff. The whole project
    would take half a minute.
    """
    black = project / ".venv" / "bin" / "black"
    black.parent.mkdir(parents=True)
    black.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m black "$@"\n')
    black.chmod(0o755)
    with (project / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write("\n[tool.black]\nline-length = 79\ninclude = 'app/users/.*[.]py$'\n")
    run(black, "--quiet", ".", cwd=project)


def end_lines_as_on_windows(project: Path) -> None:
    for path in project.rglob("*"):
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content and path.name not in {".env", "black"}:
            path.write_bytes(content.replace(b"\n", b"\r\n"))


@pytest.fixture
def owner(tmp_path: Path, env: dict[str, str]) -> Reader:
    """A reader with a version 1.0.0 project while the template is at 1.1.0. The project is a folder in a
    larger repository, has Windows line endings, and is formatted with Black.
    """
    template, project = tmp_path / "template", tmp_path / "all" / "services" / "shop"
    template.mkdir()
    project.parent.mkdir(parents=True)
    snapshot(template)
    copier("copy", "--quiet", "--defaults", template, project, cwd=tmp_path)
    for path, (old, new) in CHANGES.items():
        text = (template / path).read_text("utf-8")
        assert old in text
        (template / path).write_text(text.replace(old, new, 1), "utf-8")
    (template / "template/app/users/migrations/users_0008_time_zone.py").write_text(TIME_ZONE)
    commit(template, "The next version", tag="1.1.0")
    format_with_black(project)
    end_lines_as_on_windows(project)
    repository = tmp_path / "all"
    run("git", "init", "--quiet", cwd=repository)
    return Reader(project, env | {"TEMPLATE": str(template)}, "", "services/shop", "\r\n")


@pytest.mark.minutes
@ON_SQLITE
def test_the_updating_page_can_be_followed(owner: Reader):
    """One database is enough: test_personas.py updates with both, and a project's tests downgrade both."""
    owner.do("sh", "uv run app db upgrade")

    owner.follow(DOCS / "updating.md")

    owner.do("sh", "uv run app db check && uv run ruff check && .venv/bin/black --check .")
    owner.do("sh", "uv run ruff format --check --exclude app/users")


# Deployment. test_proxies.py runs nginx and the application with the page's settings.

DEPLOYMENT = (DOCS / "deploy.md").read_text("utf-8")
UNITS = ["app-web@.service", "app-worker.service"]


def files_of_deployment() -> dict[str, str]:
    return {block["path"]: block["text"] for block in BLOCK.finditer(DEPLOYMENT) if block["path"]}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A folder with the units and the programs that they run."""
    if shutil.which("systemd-analyze") is None:
        # Not every container has systemd, and no other test here needs it.
        pytest.skip("systemd-analyze is not installed")
    program = shutil.which("true")
    for name in UNITS:
        text = files_of_deployment()[f"/etc/systemd/system/{name}"]
        text = re.sub(r"^(Exec\w+=)\S+", rf"\1{program}", text, flags=re.MULTILINE)
        (tmp_path / name).write_text(text.replace("User=app", "User=daemon"))
    return tmp_path


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_units_and_they_are_confined(units: Path, unit: str):
    said = run("systemd-analyze", "verify", "--man=no", unit.replace("@", "@8001"), cwd=units)
    confined = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit, cwd=units)

    assert unit.partition("@")[0] not in said
    assert "OK" in confined


def test_the_worker_is_confined_as_the_web_process():
    web, worker = (files_of_deployment()[f"/etc/systemd/system/{name}"] for name in UNITS)

    assert web.partition("StateDirectory")[2] == worker.partition("StateDirectory")[2]


def test_the_commands_of_the_deployment_page_are_commands(python: Path, compiled: Render):
    project = compiled()
    commands = set(re.findall(r"(?:bin/app|`app) ((?:db )?[a-z]+)", DEPLOYMENT))

    assert commands == {"serve", "worker", "db upgrade", "db backup"}
    for group in ((), ("db",)):
        shown = run(python, "-m", "app.cli", *group, "--help", cwd=project)
        of_group = {each.split()[-1] for each in commands if each.split()[:-1] == list(group)}
        assert of_group <= set(re.findall(r"\w+", shown))


def test_the_settings_of_the_deployment_page_are_settings(compiled: Render):
    example = (compiled() / ".env.example").read_text("utf-8")
    settings = set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", example, re.MULTILINE))

    named = set(re.findall(r"^([A-Z_]+)=", files_of_deployment()[".env"], re.MULTILINE))
    named |= set(re.findall(r"`([A-Z]+_[A-Z_]+)[=`]", DEPLOYMENT))
    # A variable of the compose file, and a constant in `app/tasks.py`.
    assert named - {"POSTGRES_PASSWORD", "LAST_CALLS"} <= settings


def test_the_yaml_of_the_deployment_page_is_valid():
    blocks = [block["text"] for block in BLOCK.finditer(DEPLOYMENT) if block["kind"] == "yaml"]

    assert [set(yaml.safe_load(block)) for block in blocks] == [{"securityContext"}, {"lifecycle"}]


OWN_TIME_ZONE = (
    TIME_ZONE.replace("users_0008", "app_0003")
    .replace('down_revision = "users_0007"', 'down_revision = "app_0002"')
    .replace("depends_on = None", 'depends_on = "users_0007"')
)
RENAME = """from alembic import op

revision = "app_0004"
down_revision = "app_0003"
branch_labels = None
depends_on = None


"""


ADD_ONCE, RENAME_IT = re.findall(
    r"^```python\n(.*?)^```$", (DOCS / "updating.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)
"""The page's instructions for a template column that the project already has: the same column, and a
different one.
"""
THEIRS, MINE = "app/users/migrations/users_0008_time_zone.py", "migrations/versions/app_0003_time_zone.py"


@pytest.fixture
def with_time_zones(reader: Reader) -> Reader:
    """A reader whose database has a column that the new version of the template adds."""
    reader.write(MINE, OWN_TIME_ZONE)
    reader.do("sh", "uv run app db upgrade")
    reader.write(THEIRS, TIME_ZONE)
    reader.do("sh", "uv run app db upgrade 2>&1 || true")
    reader.do("text", f"{THEIRS} adds something that the database already has: ")
    return reader


@ON_POSTGRESQL
def test_the_same_column_of_both_is_added_once(with_time_zones: Reader, tmp_path: Path):
    upgrade = re.compile(r"def upgrade.*?\n\n\n", re.DOTALL)
    for path, text in {THEIRS: TIME_ZONE, MINE: OWN_TIME_ZONE}.items():
        with_time_zones.write(path, upgrade.sub(f"{ADD_ONCE}\n\n", text))

    upgrade_both(with_time_zones, tmp_path)


@ON_SQLITE
def test_another_column_of_the_same_name_is_renamed(with_time_zones: Reader, tmp_path: Path):
    with_time_zones.write(THEIRS, TIME_ZONE.replace("depends_on = None", 'depends_on = "app_0004"'))
    with_time_zones.write("migrations/versions/app_0004_rename.py", RENAME + RENAME_IT)

    upgrade_both(with_time_zones, tmp_path)


def upgrade_both(reader: Reader, tmp_path: Path) -> None:
    """Apply all migrations to the database and to a new one."""
    new = f"sqlite+aiosqlite:///{tmp_path}/new.db"
    reader.do("sh", f"uv run app db upgrade && DATABASE_URL={new} uv run app db upgrade")
