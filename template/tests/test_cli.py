"""The command line: what each command does, and how commands explain errors."""

import asyncio
import json
import re
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hawkapi_mail import EmailMessage
from typer.testing import CliRunner, Result

from app.cli import cli
from app.cli.common import application
from app.keys import KeyRing
from app.mail.stored import PURPOSE, opened
from app.settings import Settings
from app.users.emails import NOTICES
from tests.conftest import OWN_REQUIRED, PRODUCTION

PROJECT = Path(__file__).parent.parent

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple and another horse"


CREATE_ADA = ("users", "create", "ada@example.com", "--password-stdin")

type Run = Callable[..., Result]


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with every migration applied; tests use copies of it."""
    path = tmp_path_factory.mktemp("cli") / "migrated.db"
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, path)
        result = CliRunner().invoke(cli, ["db", "upgrade"])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of this test's database, which does not exist yet."""
    path = tmp_path / "data" / "app.db"
    set_environment(monkeypatch, path)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def migrated(database: Path, migrated_file: Path) -> Path:
    """The path of this test's database, migrated."""
    database.parent.mkdir()
    shutil.copy(migrated_file, database)
    return database


@pytest.fixture
def run(database: Path) -> Run:
    """`run("users", "list", stdin="...")` runs the command in this process."""

    def invoke(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, arguments, input=stdin)

    return invoke


SECRET_KEY = "0123456789abcdef" * 4  # pragma: allowlist secret


def set_environment(patch: pytest.MonkeyPatch, database: Path) -> None:
    for field in Settings.model_fields:
        patch.delenv(field.upper(), raising=False)
    for name, value in {
        **OWN_REQUIRED,
        "ENVIRONMENT": "test",
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": f"sqlite+aiosqlite:///{database}",
        "MAIL_BACKEND": "memory",
    }.items():
        patch.setenv(name, value)


def refusal(result: Result) -> str:
    """The command's error message."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


def run_lines(run: Run, *arguments: str) -> list[str]:
    """The command's output, line by line."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


# As a process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Features' commands

BILLING = '''"""Send and print invoices.

Not in the list of commands.
"""

import typer

cli = typer.Typer()


@cli.command()
def send(number: int) -> None:
    """Send an invoice."""
    typer.echo(f"Sent {number}.")


@cli.command("print")
def print_() -> None:
    """Print the invoices."""
'''

type Feature = Callable[[str, str], None]


@pytest.fixture
def feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feature]:
    """`feature("billing", BILLING)`: a package `app/billing` whose `commands.py` contains BILLING."""
    packages = tmp_path / "packages"
    monkeypatch.setattr("app.__path__", [str(PROJECT / "app"), str(packages)])

    def write(name: str, commands: str) -> None:
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").touch()
        (packages / name / "commands.py").write_text(commands, "utf-8")

    yield write
    for folder in packages.iterdir():
        sys.modules.pop(f"app.{folder.name}", None)
        sys.modules.pop(f"app.{folder.name}.commands", None)


def test_the_commands_of_a_feature_are_found(run: Run, feature: Feature):
    feature("online_billing", BILLING)

    result = run("online-billing", "send", "7")

    assert (result.exit_code, result.output) == (0, "Sent 7.\n")


# app db


def test_upgrade_creates_the_folder_and_the_tables(run: Run, database: Path):
    result = run("db", "upgrade")

    assert result.exit_code == 0
    assert database.exists()
    assert run("db", "check").exit_code == 0
    assert "No accounts yet." in run("users", "list").stderr


def test_current_names_the_revisions(run: Run, migrated: Path):
    result = run("db", "current")

    assert result.exit_code == 0
    assert re.search(r"^users_\d+ ", result.stdout, re.MULTILINE)


def test_a_revision_of_another_branch_is_explained(run: Run, migrated: Path):
    with closing(sqlite3.connect(migrated)) as connection, connection:
        connection.execute("INSERT INTO alembic_version VALUES ('gone_0009')")

    for command in ("upgrade", "current"):
        assert "'gone_0009'" in (sentence := refusal(run("db", command)))
        assert "another branch" in sentence


# app db seed


@pytest.fixture
def developing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")


@pytest.mark.usefixtures("developing")
def test_sample_data_is_added_once(run: Run, migrated: Path):
    first = run("db", "seed")
    again = run("db", "seed")

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "Added a superuser, 50 users" in first.output
    assert "The sample data already exists." in again.output
    assert all("The password is: only for development" in each.output for each in (first, again))
    assert run("users", "list", "--limit", "100").output.count("@example.com") == 51


@pytest.mark.parametrize("environment", ["test", "production"])
def test_sample_data_is_for_development_only(
    run: Run, migrated: Path, monkeypatch: pytest.MonkeyPatch, environment: str
):
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ENVIRONMENT", environment)

    result = run("db", "seed")

    assert result.exit_code == 1
    assert "Everyone knows the password of these accounts" in " ".join(result.output.split())
    monkeypatch.setenv("ENVIRONMENT", "test")
    assert "No accounts yet." in run("users", "list").output


# app users


def test_a_user_is_created_with_a_password_from_standard_input(run: Run, migrated: Path):
    result = run(*CREATE_ADA, stdin=f"{PASSWORD}\n")

    assert (result.exit_code, result.stdout) == (0, "Created ada@example.com.\n")
    assert "active, unverified" in run("users", "list").stdout


def test_a_user_is_promoted_disabled_and_enabled_again(run: Run, migrated: Path):
    run(*CREATE_ADA, stdin=PASSWORD)

    assert run("users", "promote", "ADA@example.com").stdout == "ada@example.com is a superuser now.\n"
    assert "last active superuser" in refusal(run("users", "demote", "ada@example.com"))
    run("users", "create", "eve@example.com", "--superuser", "--password-stdin", stdin=PASSWORD)
    assert run("users", "demote", "ada@example.com").stdout == "ada@example.com is no longer a superuser.\n"
    assert run("users", "disable", "ada@example.com").stdout == "ada@example.com is disabled.\n"
    assert "ada@example.com  disabled, unverified\n" in run("users", "list").stdout
    assert run("users", "enable", "ada@example.com").exit_code == 0
    assert "ada@example.com  active, unverified\n" in run("users", "list").stdout


def test_the_list_is_searched_and_limited(run: Run, migrated: Path):
    run(*CREATE_ADA, stdin=PASSWORD)
    run("users", "create", "bob_1@example.com", "--password-stdin", stdin=PASSWORD)

    found, limited, none = (
        run("users", "list", "--search", "B_1"),
        run("users", "list", "--limit", "1"),
        run("users", "list", "--search", "%"),
    )

    assert re.findall(r"\S+@\S+", found.stdout) == ["bob_1@example.com"]
    assert len(limited.stdout.splitlines()) == 1
    assert "--limit" in limited.stderr
    assert "No such account." in none.stderr


# app users, with existing accounts

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(scope="module")
def populated_file(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """A migrated database with an account, ada, and a superuser, root; tests use copies of it."""
    path = tmp_path_factory.mktemp("cli") / "populated.db"
    shutil.copy(migrated_file, path)
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, path)
        for address, *options in (["root@example.com", "--superuser"], ["ada@example.com"]):
            CliRunner().invoke(
                cli, ["users", "create", address, "--password-stdin", *options], input=PASSWORD
            )
    # Close the connection, so that no journal is left next to the file that tests copy.
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM audit_events")
        connection.execute("DELETE FROM mail_outbox")
    return path


@pytest.fixture
def populated(database: Path, populated_file: Path) -> Path:
    """This test's database, with the accounts ada and root."""
    database.parent.mkdir()
    shutil.copy(populated_file, database)
    return database


@pytest.fixture
def query(database: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """`query("SELECT …")`: rows from this test's database."""

    def rows(statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(statement).fetchall()

    return rows


@pytest.fixture
def mails(query: Callable[[str], list[tuple[Any, ...]]]) -> Callable[[], list[EmailMessage]]:
    """`mails()`: the e-mails in the outbox, oldest first."""

    def read() -> list[EmailMessage]:
        keys = KeyRing(SECRET_KEY, PURPOSE)
        return [
            opened(text, keys).message for (text,) in query("SELECT message FROM mail_outbox ORDER BY id")
        ]

    return read


@pytest.fixture
def log_in(populated: Path) -> Callable[..., str]:
    """`log_in("ada@example.com", FIREFOX)` starts a session and returns its client's token."""

    def begin(email: str, user_agent: str = FIREFOX) -> str:
        async def run() -> str:
            async with application() as app, app.state.db.session() as session:
                users = app.state.users
                issued = await users.sessions.issue(session, await users.get_by_email(session, email))
                issued.session.user_agent, issued.session.ip_address = user_agent, "203.0.113.9"
                return issued.token

        return asyncio.run(run())

    return begin


type Query = Callable[[str], list[tuple[Any, ...]]]
type Mails = Callable[[], list[EmailMessage]]
type LogIn = Callable[..., str]

LIVE = "SELECT count(*) FROM user_sessions WHERE revoked_at IS NULL"


def test_yes_deletes_an_account_without_a_prompt(run: Run, populated: Path, query: Query):
    result = run("users", "delete", "ADA@example.com", "--yes")

    assert (result.exit_code, result.stdout) == (0, "Deleted ada@example.com.\n")
    assert query("SELECT email FROM users") == [("root@example.com",)]


@pytest.mark.parametrize("command", ["demote", "disable", "delete --yes"])
def test_the_last_superuser_keeps_their_rights(run: Run, populated: Path, query: Query, command: str):
    sentence = refusal(run("users", *command.split(), "root@example.com"))

    assert sentence == "This is the last active superuser. Make another account a superuser first.\n"
    assert query("SELECT is_superuser, is_active FROM users WHERE email = 'root@example.com'") == [(1, 1)]
    assert query("SELECT event FROM audit_events") == []


def test_a_reset_link_is_mailed_but_not_printed(run: Run, populated: Path, mails: Mails):
    result = run("users", "send-reset", "ada@example.com")

    (mail,) = mails()
    token = re.search(r"/password-reset/([\w.-]+)", mail.text_body)
    assert (result.exit_code, result.output) == (0, "The e-mail to ada@example.com is in the outbox.\n")
    assert token is not None
    assert token[1] not in result.output


def test_without_a_factor_there_is_nothing_to_reset(run: Run, populated: Path):
    sentences = {
        "This application has no second factors.\n",
        "The account does not have this second factor.\n",
    }

    assert refusal(run("users", "reset-factors", "ada@example.com")) in sentences


def test_a_new_password_can_be_required_and_waived(run: Run, log_in: LogIn, query: Query, mails: Mails):
    """Checklist 21."""
    log_in("ada@example.com")
    version = "SELECT password_version, must_reset_password FROM users WHERE email = 'ada@example.com'"

    required = run("users", "require-reset", "ada@example.com")
    state, listed = query(version), run("users", "list", "--search", "ada").stdout
    waived = run("users", "waive-reset", "ada@example.com")

    (mail,) = mails()
    token = re.search(r"/password-reset/([\w.-]+)", mail.text_body)
    assert required.output == "ada@example.com must set a new password.\n"
    assert (state, "must reset the password" in listed) == ([(1, 1)], True)
    assert waived.output == "ada@example.com may log in with the current password.\n"
    assert query(version) == [(1, 0)]
    assert token is not None
    assert token[1] not in required.output


def test_an_account_is_shown(run: Run, log_in: LogIn, query: Query):
    log_in("ada@example.com")
    ((user_id,),) = query("SELECT id FROM users WHERE email = 'ada@example.com'")

    lines = dict(re.split(" {2,}", line, maxsplit=1) for line in run_lines(run, "users", "show", user_id))

    assert lines.pop("Created").endswith(" UTC")
    assert {name: lines[name] for name in ("E-mail", "ID", "State", "Last login", "Sessions")} == {
        "E-mail": "ada@example.com",
        "ID": user_id,
        "State": "active, unverified",
        "Last login": "none in the audit log",
        "Sessions": "1",
    }


def test_an_account_is_shown_as_data(run: Run, populated: Path, query: Query):
    run("users", "promote", "ada@example.com")

    data = json.loads(run("users", "show", "ADA@example.com", "--json").stdout)

    assert data["email"] == "ada@example.com"
    assert (data["is_active"], data["is_superuser"], data["is_locked"]) == (True, True, False)
    assert (data["last_login"], data["sessions"]) == (None, 0)
    assert data["second_factors"] in (None, [])


def test_an_unknown_id_is_named(run: Run, populated: Path):
    sentence = refusal(run("users", "show", "nonsense"))

    assert sentence == "No account has the ID nonsense. `uv run app users list` lists all accounts.\n"


def test_an_address_is_verified(run: Run, populated: Path):
    assert run("users", "verify", "ADA@example.com").stdout == "ada@example.com is verified now.\n"
    assert "ada@example.com  active, verified\n" in run("users", "list").stdout


def test_a_password_is_set(run: Run, log_in: LogIn, query: Query, mails: Mails):
    log_in("ada@example.com")
    run("users", "require-reset", "ada@example.com")
    before = query("SELECT hashed_password FROM users WHERE email = 'ada@example.com'")

    result = run("users", "set-password", "ada@example.com", "--stdin", stdin=f"{OTHER_PASSWORD}\n")

    *_, mail = mails()
    assert result.output == (
        "ada@example.com has a new password and is logged out everywhere. The owner is notified by e-mail.\n"
    )
    assert query("SELECT hashed_password FROM users WHERE email = 'ada@example.com'") != before
    assert "must reset" not in run("users", "show", "ada@example.com").stdout
    assert run("users", "sessions", "ada@example.com").stdout == ""
    assert NOTICES["password_changed"].heading in mail.subject
    assert OTHER_PASSWORD not in mail.text_body


def test_a_password_that_breaks_the_rules_changes_nothing(run: Run, log_in: LogIn, query: Query):
    log_in("ada@example.com")
    state = "SELECT hashed_password, password_version FROM users WHERE email = 'ada@example.com'"
    before = query(state)

    sentence = refusal(run("users", "set-password", "ada@example.com", "--stdin", stdin="short\n"))

    assert sentence == "The password is too short: use at least 12 characters.\n"
    assert query(state) == before
    assert query("SELECT event FROM audit_events") == []


def test_sessions_are_shown_without_their_secrets(run: Run, log_in: LogIn, query: Query):
    token = log_in("ada@example.com")
    log_in("root@example.com", "okhttp/4.9")

    result = run("users", "sessions", "ada@example.com")

    session_id, _, secret = token.partition(".")
    ((hashed,),) = query(f"SELECT secret_hash FROM user_sessions WHERE id = '{session_id}'")
    assert result.exit_code == 0
    assert re.fullmatch(
        rf"{session_id}  bearer  since \S+ \S+  seen \S+ \S+  203\.0\.113\.9  Firefox on Linux\n",
        result.stdout,
    )
    assert secret not in result.output
    assert hashed not in result.output


def test_one_account_is_logged_out_everywhere(run: Run, log_in: LogIn, query: Query):
    """Checklist 23; ASVS 7.4.5."""
    for address in ("ada@example.com", "ada@example.com", "root@example.com"):
        log_in(address)

    result = run("users", "end-sessions", "ada@example.com")

    assert (result.exit_code, result.stdout) == (0, "ada@example.com is logged out everywhere.\n")
    assert query(f"{LIVE} AND user_id IN (SELECT id FROM users WHERE email = 'ada@example.com')") == [(0,)]
    assert query(LIVE) == [(1,)]


def test_everybody_is_logged_out(run: Run, log_in: LogIn, query: Query):
    """Checklist 23; ASVS 7.4.5."""
    for address in ("ada@example.com", "ada@example.com", "root@example.com"):
        log_in(address)

    result = run("users", "end-sessions", "--everybody")

    assert (result.exit_code, result.stdout) == (0, "Ended 3 sessions.\n")
    assert query(LIVE) == [(0,)]
    assert query("SELECT event, user_id, actor, details FROM audit_events") == [
        ("session_end", None, "cli", '{"count":3}')
    ]


@pytest.mark.parametrize(
    ("command", "event"),
    [
        ("create eve@example.com --password-stdin", "register"),
        ("promote ada@example.com", "update"),
        ("disable ada@example.com", "update"),
        ("send-reset ada@example.com", "password_reset_request"),
        ("require-reset ada@example.com", "update"),
        ("verify ada@example.com", "update"),
        ("set-password ada@example.com --stdin", "update"),
        ("end-sessions ada@example.com", "session_end"),
        ("delete ada@example.com --yes", "delete"),
    ],
)
def test_commands_are_audited_once(run: Run, populated: Path, query: Query, command: str, event: str):
    """Checklist 39."""
    run("users", *command.split(), stdin=PASSWORD)

    rows = query("SELECT event, outcome, actor, method, ip_address, user_agent FROM audit_events")
    assert rows == [(event, "success", "cli", "", "", "")]


def test_the_audit_log_is_shown_newest_first(run: Run, populated: Path):
    run("users", "disable", "ada@example.com")
    run("users", "enable", "ada@example.com")
    run("users", "end-sessions", "root@example.com")

    everybodys, hers, newest, roots = (
        run("users", "audit").stdout,
        run("users", "audit", "ada@example.com").stdout,
        run("users", "audit", "--limit", "1").stdout,
        run("users", "audit", "ROOT@example.com").stdout,
    )

    assert [line.split()[2] for line in everybodys.splitlines()] == ["session_end", "update", "update"]
    assert re.findall('"is_active":(true|false)', hers) == ["true", "false"]
    assert "session_end" not in hers
    assert newest == roots == everybodys.splitlines(keepends=True)[0]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  session_end +success  user \S{36}  by cli  ", newest)
    assert "@" not in everybodys


def test_no_command_shows_a_secret(run: Run, log_in: LogIn, query: Query):
    """Checklist 39."""
    token = log_in("ada@example.com")
    commands = ["list", "send-reset ada@example.com", "sessions ada@example.com", "show ada@example.com"]
    commands += ["show ada@example.com --json", "disable ada@example.com"]
    commands += ["audit", "audit ada@example.com", "delete ada@example.com --yes", "audit"]
    secrets = {token, token.partition(".")[2], "argon2", PASSWORD}
    secrets |= {each for row in query("SELECT hashed_password FROM users") for each in row}
    secrets |= {each for row in query("SELECT secret_hash FROM user_sessions") for each in row}

    shown = "".join(run("users", *command.split()).output for command in commands)

    assert "ada@example.com" in shown
    assert [secret for secret in secrets if secret in shown] == []


# app settings, app openapi


def test_settings_are_shown_with_their_source_and_without_secrets(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / ".env").write_text("SMTP_PASSWORD=hunter2\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hunter3@db.example.com/app")

    shown = run("settings").stdout

    assert [line.split()[0] for line in shown.splitlines()] == [
        each.upper() for each in Settings.model_fields
    ]
    assert re.search(r"^SMTP_PASSWORD +\.env +\*+$", shown, re.MULTILINE)
    assert re.search(r"^DATABASE_URL +environment .*@db\.example\.com/app$", shown, re.MULTILINE)
    assert re.search(r"^DEBUG +default +False$", shown, re.MULTILINE)
    assert not re.search(r"hunter|0123456789abcdef", shown)


def test_the_openapi_document_is_printed(run: Run):
    document = json.loads(run("openapi").stdout)

    assert document["openapi"].startswith("3.1")
    assert "/users/register" in document["paths"]


# app routes


def test_the_routes_are_listed_with_what_they_need(run: Run):
    lines = run_lines(run, "routes", "--search", "app.users.routes")
    found = {tuple(line.split()[:2]): re.split(" {2,}", line) for line in lines}

    assert lines[0].split() == ["Methods", "Path", "Needs", "Limits", "Handler"]
    assert found["POST", "/users/register"][2:] == ["-", "register", "app.users.routes.registration.register"]
    assert found["PATCH", "/users/{user_id}"][2:] == [
        "a superuser, a recent login",
        "-",
        "app.users.routes.admin.change_user",
    ]


def test_the_routes_are_listed_as_data(run: Run):
    data = json.loads(run("routes", "--json").stdout)

    (change,) = (each for each in data if each["path"] == "/users/me/password")
    assert change == {
        "methods": ["POST"],
        "path": "/users/me/password",
        "needs": ["a login"],
        "limits": ["change_password"],
        "handler": "app.users.routes.account.change_password",
    }


def test_a_search_without_routes_says_so(run: Run):
    result = run("routes", "--search", "nonsense")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No such route.\n")


# app shell

IS_IPYTHON = find_spec("IPython") is not None


@pytest.mark.skipif(IS_IPYTHON, reason="IPython has its own prompt")
def test_the_shell_supports_await(run: Run, populated: Path):
    statements = (
        "async with db() as session:\n"
        "    addresses = (await session.scalars(select(User.email).order_by(User.email))).all()\n"
        "\n"
        "addresses\n"
        "app.state.settings.environment\n"
    )

    result = run("shell", stdin=statements)

    assert result.exit_code == 0
    assert "['ada@example.com', 'root@example.com']" in result.stdout
    assert "ENVIRONMENT is test" in result.stdout
    assert "production" not in result.output


@pytest.mark.skipif(IS_IPYTHON, reason="IPython has its own prompt")
def test_what_the_shell_changes_is_audited(run: Run, populated: Path, query: Query):
    statements = (
        "async with db() as session:\n"
        "    ada = await users.get_by_email(session, 'ada@example.com')\n"
        "    _ = await users.update(session, ada, is_verified=True)\n"
        "\n"
    )

    run("shell", stdin=statements)

    assert query("SELECT event, actor FROM audit_events") == [("update", "cli")]


@pytest.mark.skipif(IS_IPYTHON, reason="IPython has its own prompt")
def test_an_error_does_not_end_the_shell(run: Run, populated: Path):
    result = run("shell", stdin="await nonsense\n1 + 41\n")

    assert result.exit_code == 0
    assert "NameError" in result.stderr
    assert "42" in result.stdout


@pytest.mark.skipif(IS_IPYTHON, reason="IPython has its own prompt")
def test_the_shell_warns_in_production(run: Run, populated: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)

    result = run("shell")

    assert result.exit_code == 0
    assert "This is production" in result.stderr


# app dev, app serve, app worker


def test_serve_refuses_a_database_that_lacks_migrations(run: Run, migrated: Path):
    run("db", "downgrade", "app@base")

    sentence = refusal(run("serve", "--port", str(free_port())))

    assert "lacks migrations" in sentence
    assert "uv run app db upgrade" in sentence


# Your own tests go below; template updates never touch them.
