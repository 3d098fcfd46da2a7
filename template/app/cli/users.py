"""`app users …`: accounts from the command line. Passwords are asked for or read from standard input, never
arguments: those stand in the shell's history and in the list of processes."""

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

Email = Annotated[str, typer.Argument(help="The address of the account.")]


@asynccontextmanager
async def _transaction() -> AsyncGenerator[tuple["UserManager", "AsyncSession"]]:
    from app.database import act_as

    async with application() as app, app.state.db.session() as db:
        act_as(db, "cli")
        # Limits are against strangers, and a command must not need Redis.
        app.state.users.limits = None
        yield app.state.users, db


@cli.command()
@friendly_errors
def create(
    email: Email,
    superuser: Annotated[bool, typer.Option("--superuser", help="May administrate.")] = False,
    verified: Annotated[bool, typer.Option("--verified", help="The address is known to be right.")] = False,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from the first line of standard input."),
    ] = False,
) -> None:
    """Create an account. The password is asked for twice."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)

    async def run() -> "User":
        async with _transaction() as (users, db):
            return await users.create(
                db, email=email, password=password, is_superuser=superuser, is_verified=verified
            )

    typer.echo(f"Created {asyncio.run(run()).email}.")


@cli.command()
@friendly_errors
def invite(email: Email) -> None:
    """Mail somebody the link that makes an account, whatever REGISTRATION says."""

    async def run() -> "tuple[str, datetime]":
        async with _transaction() as (users, db):
            row = await users.invite(db, email=email, invited_by="cli")
            return row.email, row.expires_at

    address, expires_at = asyncio.run(run())
    typer.echo(f"The invitation of {address} is in the outbox, good until {expires_at:%Y-%m-%d %H:%M} UTC.")


@cli.command()
@friendly_errors
def invitations() -> None:
    """List the invitations that nobody has used yet, newest first."""

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
    invitation: Annotated[str, typer.Argument(help="Its id, as `app users invitations` shows it.")],
) -> None:
    """Withdraw an invitation: its link works no more."""

    async def run() -> None:
        async with _transaction() as (users, db):
            await users.withdraw_invitation(db, invitation)

    asyncio.run(run())
    typer.echo("Withdrawn.")


@cli.command("list")
@friendly_errors
def show(
    search: Annotated[str, typer.Option(help="Only addresses that hold this text.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> None:
    """List accounts, newest first."""

    async def run() -> "list[User]":
        async with _transaction() as (users, db):
            return await users.search(db, text=search, limit=limit + 1)

    found = asyncio.run(run())
    for user in found[:limit]:
        flags = [
            "active" if user.is_active else "disabled",
            "verified" if user.is_verified else "unverified",
            *(["superuser"] if user.is_superuser else []),
            *(["must reset the password"] if user.must_reset_password else []),
        ]
        typer.echo(f"{user.created_at:%Y-%m-%d}  {user.id}  {user.email}  {', '.join(flags)}")
    if len(found) > limit:
        typer.echo("… and more: raise --limit or use --search.", err=True)
    if not found:
        typer.echo("No such account." if search else "No accounts yet.", err=True)


@cli.command()
@friendly_errors
def promote(email: Email) -> None:
    """Make an account a superuser."""
    _change(email, "is a superuser now", is_superuser=True)


@cli.command()
@friendly_errors
def disable(email: Email) -> None:
    """Shut an account out at once. Nothing is deleted."""
    _change(email, "is disabled", is_active=False)


@cli.command()
@friendly_errors
def enable(email: Email) -> None:
    """Let a disabled account in again."""
    _change(email, "is active again", is_active=True)


@cli.command()
@friendly_errors
def demote(email: Email) -> None:
    """Take a superuser's rights away. The last active one keeps them."""
    _change(email, "is no superuser any more", is_superuser=False)


@cli.command()
@friendly_errors
def delete(
    email: Email,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an account and what belongs to it, at once and for good."""
    if not yes:
        typer.confirm(f"Delete {email} and everything that belongs to it?", abort=True)

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        await users.delete(db, user)

    typer.echo(f"Deleted {_with_account(email, run)[0]}.")


@cli.command("send-reset")
@friendly_errors
def send_reset(email: Email) -> None:
    """Send an account the link that sets a new password."""

    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        if not user.is_active:
            fail(f"{user.email} is disabled and gets no mail: `uv run app users enable` first.")
        await users.send_password_reset(db, user)

    typer.echo(f"The mail to {_with_account(email, run)[0]} is in the outbox.")


@cli.command("require-reset")
@friendly_errors
def require_reset(email: Email) -> None:
    """Require a new password: end every session and mail a link. The old password stops working."""
    _change(email, "must set a new password", must_reset_password=True)


@cli.command("waive-reset")
@friendly_errors
def waive_reset(email: Email) -> None:
    """Take `require-reset` back: the present password logs in again."""
    _change(email, "may log in with the present password", must_reset_password=False)


@cli.command()
@friendly_errors
def sessions(email: Email) -> None:
    """Show where an account is logged in."""
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
    email: Annotated[str, typer.Argument(help="The address of the account.")] = "",
    everybody: Annotated[bool, typer.Option("--everybody", help="Of every account.")] = False,
) -> None:
    """Log an account, or everybody, out at once."""
    if bool(email) == everybody:
        fail("Give either an address or --everybody.")
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
        str, typer.Argument(help="The address of an account, or the id of a deleted one; all, if left out.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
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


def _change(email: str, outcome: str, **values: Any) -> None:
    async def run(users: "UserManager", db: "AsyncSession", user: "User") -> None:
        await users.update(db, user, **values)

    typer.echo(f"{_with_account(email, run)[0]} {outcome}.")


def _with_account[T](
    email: str, run: "Callable[[UserManager, AsyncSession, User], Awaitable[T]]"
) -> tuple[str, T]:
    """Run something with the account of an address, in one transaction; the address and what came of it."""

    async def find_and_run() -> tuple[str, T]:
        async with _transaction() as (users, db):
            user = await users.get_by_email(db, email)
            if user is None:
                fail(f"No account has the address {email}. `uv run app users list` shows all.")
            address = user.email
            return address, await run(users, db, user)

    return asyncio.run(find_and_run())


# Your own commands go below; template updates never touch them.
