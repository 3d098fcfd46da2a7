"""`app users …`: accounts from the command line. Passwords are asked for or read from standard input, never
arguments: those stand in the shell's history and in the list of processes."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import application, explained, fail

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.users import User, UserManager

cli = typer.Typer(no_args_is_help=True, help="Create, list and change accounts.")

Email = Annotated[str, typer.Argument(help="The address of the account.")]


@asynccontextmanager
async def _transaction() -> AsyncGenerator[tuple["UserManager", "AsyncSession"]]:
    async with application() as app, app.state.db.session() as session:
        yield app.state.users, session


@cli.command()
@explained
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
        async with _transaction() as (users, session):
            return await users.create(
                session, email=email, password=password, is_superuser=superuser, is_verified=verified
            )

    typer.echo(f"Created {asyncio.run(run()).email}.")


@cli.command("list")
@explained
def show(
    search: Annotated[str, typer.Option(help="Only addresses that hold this text.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> None:
    """List accounts, newest first."""
    from sqlalchemy import select

    from app.users import User

    async def run() -> list[User]:
        async with _transaction() as (_, session):
            matching = select(User).where(User.email.contains(search.lower(), autoescape=True))
            newest = matching.order_by(User.created_at.desc(), User.id).limit(limit + 1)
            return list(await session.scalars(newest))

    found = asyncio.run(run())
    for user in found[:limit]:
        flags = [
            "active" if user.is_active else "disabled",
            "verified" if user.is_verified else "unverified",
            *(["superuser"] if user.is_superuser else []),
        ]
        typer.echo(f"{user.created_at:%Y-%m-%d}  {user.id}  {user.email}  {', '.join(flags)}")
    if len(found) > limit:
        typer.echo("… and more: raise --limit or use --search.", err=True)
    if not found:
        typer.echo("No such account." if search else "No accounts yet.", err=True)


@cli.command()
@explained
def promote(email: Email) -> None:
    """Make an account a superuser."""
    _change(email, "is a superuser now", is_superuser=True)


@cli.command()
@explained
def disable(email: Email) -> None:
    """Shut an account out at once. Nothing is deleted."""
    _change(email, "is disabled", is_active=False)


@cli.command()
@explained
def enable(email: Email) -> None:
    """Let a disabled account in again."""
    _change(email, "is active again", is_active=True)


def _change(email: str, outcome: str, **values: Any) -> None:
    async def run() -> "User | None":
        async with _transaction() as (users, session):
            user = await users.get_by_email(session, email)
            return user and await users.update(session, user, **values)

    user = asyncio.run(run())
    if user is None:
        fail(f"No account has the address {email}. `uv run app users list` shows all.")
    typer.echo(f"{user.email} {outcome}.")
