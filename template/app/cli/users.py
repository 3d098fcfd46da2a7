"""`app users …`: manage accounts from the command line. Passwords are entered at a prompt or read from
standard input. They are never arguments, which are visible in the shell history and the process list."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import application, fail, friendly_errors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from app.users import User, UserInvitation, UserManager, UserSession
    from app.users.audit import AuditEvent

cli = typer.Typer(no_args_is_help=True, help="Create, list and change accounts.")

Email = Annotated[str, typer.Argument(help="The account's e-mail address.")]
_NO_SUCH_ADDRESS = "No account has the address {}. `uv run app users list` lists all accounts."
_NO_SUCH_ID = "No account has the ID {}. `uv run app users list` lists all accounts."


@asynccontextmanager
async def _transaction() -> AsyncGenerator[tuple["UserManager", "AsyncSession"]]:
    from app.database import act_as

    async with application() as app, app.state.db.session() as db:
        act_as(db, "cli")
        # Turn off rate limits, which guard against strangers, so that commands work without Redis.
        app.state.users.limits = None
        yield app.state.users, db


@cli.command()
@friendly_errors
def create(
    email: Email,
    superuser: Annotated[bool, typer.Option("--superuser", help="Make the account a superuser.")] = False,
    verified: Annotated[
        bool, typer.Option("--verified", help="Mark the e-mail address as verified.")
    ] = False,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from the first line of standard input."),
    ] = False,
) -> None:
    """Create an account. Prompts for the password twice."""
    password = _read_password(from_stdin=password_stdin)

    async def run() -> "User":
        async with _transaction() as (users, db):
            return await users.create(
                db, email=email, password=password, is_superuser=superuser, is_verified=verified
            )

    typer.echo(f"Created {asyncio.run(run()).email}.")


@cli.command()
@friendly_errors
def invite(email: Annotated[str, typer.Argument(help="The e-mail address to invite.")]) -> None:
    """E-mail someone a link to create an account, regardless of REGISTRATION."""

    async def run() -> "tuple[str, datetime]":
        async with _transaction() as (users, db):
            row = await users.invite(db, email=email, invited_by="cli")
            return row.email, row.expires_at

    address, expires_at = asyncio.run(run())
    typer.echo(
        f"The invitation for {address} is in the outbox and expires at {expires_at:%Y-%m-%d %H:%M} UTC."
    )


@cli.command()
@friendly_errors
def invitations() -> None:
    """List open invitations, newest first."""

    async def run() -> "list[UserInvitation]":
        async with _transaction() as (users, db):
            return await users.invitations.open(db)

    found = asyncio.run(run())
    for row in found:
        typer.echo(f"{row.id}  {row.email}  until {row.expires_at:%Y-%m-%d %H:%M}  by {row.invited_by}")
    if not found:
        typer.echo("No open invitations.", err=True)


@cli.command()
@friendly_errors
def withdraw(
    invitation: Annotated[
        str, typer.Argument(help="The invitation ID, as shown by `app users invitations`.")
    ],
) -> None:
    """Withdraw an invitation. Its link stops working."""

    async def run() -> None:
        async with _transaction() as (users, db):
            await users.withdraw_invitation(db, invitation)

    asyncio.run(run())
    typer.echo("Withdrawn.")


@cli.command("list")
@friendly_errors
def list_accounts(
    search: Annotated[str, typer.Option(help="Only e-mail addresses that contain this text.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The maximum number of entries.")] = 50,
) -> None:
    """List accounts, newest first."""
    from app.cli.account_details import flags_of

    async def run() -> "list[User]":
        async with _transaction() as (users, db):
            return await users.search(db, text=search, limit=limit + 1)

    found = asyncio.run(run())
    for user in found[:limit]:
        flags = ", ".join(flags_of(user))
        typer.echo(f"{user.created_at:%Y-%m-%d}  {user.id}  {user.email}  {flags}")
    if len(found) > limit:
        typer.echo("… and more: raise --limit or use --search.", err=True)
    if not found:
        typer.echo("No such account." if search else "No accounts yet.", err=True)


@cli.command()
@friendly_errors
def show(
    account: Annotated[
        str,
        typer.Argument(metavar="EMAIL_OR_ID", help="The account's e-mail address or ID."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the account as JSON.")] = False,
) -> None:
    """Show an account: its state, last login, second factors and number of sessions."""
    from app.cli.account_details import AccountDetails, read_details

    async def run() -> AccountDetails:
        async with _transaction() as (users, db):
            is_email = "@" in account
            user = await (users.get_by_email(db, account) if is_email else users.get_by_id(db, account))
            if user is None:
                fail((_NO_SUCH_ADDRESS if is_email else _NO_SUCH_ID).format(account))
            return await read_details(users, db, user)

    found = asyncio.run(run())
    typer.echo(found.as_json() if as_json else "\n".join(found.lines()))


@cli.command()
@friendly_errors
def verify(email: Email) -> None:
    """Mark an account's e-mail address as verified. First make sure that the address belongs to the owner."""
    _change(email, "is verified now", is_verified=True)


@cli.command("set-password")
@friendly_errors
def set_password(
    email: Email,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the password from the first line of standard input.")
    ] = False,
) -> None:
    """Set a new password, end every session and notify the owner by e-mail. Prompts for the password twice.

    Prefer `send-reset`, so that only the owner knows the password.
    """

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        # Do not lock the database while the password is being typed and hashed.
        await db.commit()
        password = _read_password(from_stdin=stdin)
        # As after a reset with an e-mailed link, the new password can be used immediately.
        await users.update(db, user, password=password, must_reset_password=False)

    address, _ = _with_account(email, run)
    typer.echo(f"{address} has a new password and is logged out everywhere. The owner is notified by e-mail.")


@cli.command()
@friendly_errors
def promote(email: Email) -> None:
    """Make an account a superuser."""
    _change(email, "is a superuser now", is_superuser=True)


@cli.command()
@friendly_errors
def disable(email: Email) -> None:
    """Disable an account immediately. Nothing is deleted."""
    _change(email, "is disabled", is_active=False)


@cli.command()
@friendly_errors
def enable(email: Email) -> None:
    """Enable a disabled account."""
    _change(email, "is active again", is_active=True)


@cli.command()
@friendly_errors
def demote(email: Email) -> None:
    """Remove a superuser's rights. The last active superuser cannot be demoted."""
    _change(email, "is no longer a superuser", is_superuser=False)


@cli.command()
@friendly_errors
def delete(
    email: Email,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
) -> None:
    """Permanently delete an account and everything that belongs to it."""
    if not yes:
        typer.confirm(f"Delete {email} and everything that belongs to it?", abort=True)

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        await users.delete(db, user)

    typer.echo(f"Deleted {_with_account(email, run)[0]}.")


@cli.command("send-reset")
@friendly_errors
def send_reset(email: Email) -> None:
    """E-mail a password reset link."""

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        if not user.is_active:
            fail(f"{user.email} is disabled and cannot receive e-mail: run `uv run app users enable` first.")
        await users.send_password_reset(db, user)

    typer.echo(f"The e-mail to {_with_account(email, run)[0]} is in the outbox.")


@cli.command("require-reset")
@friendly_errors
def require_reset(email: Email) -> None:
    """Require a new password: end every session, block the old password and e-mail a reset link."""
    _change(email, "must set a new password", must_reset_password=True)


@cli.command("waive-reset")
@friendly_errors
def waive_reset(email: Email) -> None:
    """Undo `require-reset`: the current password works again."""
    _change(email, "may log in with the current password", must_reset_password=False)


@cli.command("reset-factors")
@friendly_errors
def reset_factors(email: Email) -> None:
    """Remove all second factors from an account whose owner has lost them, and end its sessions."""

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> str:
        if users.second_factors is None:
            fail("This application has no second factors.")
        return ", ".join(await users.second_factors.reset(db, user))

    address, names = _with_account(email, run)
    typer.echo(f"Removed the second factors of {address}: {names}. The owner is notified by e-mail.")


@cli.command()
@friendly_errors
def sessions(email: Email) -> None:
    """List an account's sessions."""
    from app.users.user_agents import browser_of

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> "list[UserSession]":
        return await users.sessions.of_user(db, user)

    address, found = _with_account(email, run)
    for row in found:
        times = f"since {row.created_at:%Y-%m-%d %H:%M}  seen {row.last_seen_at:%Y-%m-%d %H:%M}"
        typer.echo(f"{row.id}  {row.kind:6}  {times}  {row.ip_address}  {browser_of(row.user_agent)}")
    if not found:
        typer.echo(f"{address} is not logged in anywhere.", err=True)


@cli.command("end-sessions")
@friendly_errors
def end_sessions(
    email: Annotated[str, typer.Argument(help="The account's e-mail address.")] = "",
    everybody: Annotated[bool, typer.Option("--everybody", help="Log out every account.")] = False,
) -> None:
    """Log out one account or all accounts immediately."""
    if bool(email) == everybody:
        fail("Give either an e-mail address or --everybody.")
    if everybody:
        typer.echo(f"Ended {asyncio.run(_end_every_session())} sessions.")
        return

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        await users.end_sessions(db, user)

    typer.echo(f"{_with_account(email, run)[0]} is logged out everywhere.")


async def _end_every_session() -> int:
    from app.users import record

    async with _transaction() as (users, db):
        ended = await users.sessions.revoke_all(db)
        record(db, "session_end", None, details={"count": ended})
        return ended


@cli.command()
@friendly_errors
def audit(
    account: Annotated[
        str,
        typer.Argument(
            help="The account's e-mail address or ID. The ID works even if the account was deleted."
            " Default: all accounts."
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The maximum number of entries.")] = 50,
) -> None:
    """Show the audit log, newest first."""
    from app.users.audit import events_of

    async def of_one(users: "UserManager", db: "AsyncSession", user: "User") -> "list[AuditEvent]":
        return await events_of(db, user.id, limit=limit)

    async def of_id() -> "list[AuditEvent]":
        async with _transaction() as (_, db):
            return await events_of(db, account or None, limit=limit)

    found = _with_account(account, of_one)[1] if "@" in account else asyncio.run(of_id())
    for row in found:
        who = f"user {row.user_id or '-'}  by {row.actor or 'nobody'}"
        where = f"{row.ip_address or '-'}  {row.browser}"
        typer.echo(
            f"{row.at:%Y-%m-%d %H:%M:%S}  {row.event:22} {row.outcome:7}  {who}  {where}  {row.details}"
        )
    if not found:
        typer.echo("Nothing has happened yet.", err=True)


def _read_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return typer.prompt("Password", hide_input=True, confirmation_prompt=True)


def _change(email: str, outcome: str, **values: Any) -> None:
    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        await users.update(db, user, **values)

    typer.echo(f"{_with_account(email, run)[0]} {outcome}.")


def _with_account[T](
    email: str, run: "Callable[[UserManager, AsyncSession, User], Awaitable[T]]"
) -> tuple[str, T]:
    """Call *run* with an account in one transaction. Returns the account's e-mail address and the result."""

    async def find_and_run() -> tuple[str, T]:
        async with _transaction() as (users, db):
            user = await users.get_by_email(db, email)
            if user is None:
                fail(_NO_SUCH_ADDRESS.format(email))
            address = user.email
            return address, await run(users, db, user)

    return asyncio.run(find_and_run())


# Your own commands go below; template updates never touch them.
