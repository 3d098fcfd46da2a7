"""List the e-mails that could not be sent, send them again or delete them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from app.cli.common import application, fail, friendly_errors

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.users.schemas import DeadMail

cli = typer.Typer(no_args_is_help=True, help="E-mails that could not be sent.")

Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER...", min=1, max=2**63 - 1, help="The numbers that `app mail dead` shows."),
]
All = Annotated[bool, typer.Option("--all", help="Every e-mail that could not be sent.")]


@cli.command()
@friendly_errors
def dead(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The maximum number of entries.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print the e-mails as JSON.")] = False,
) -> None:
    """List e-mails that could not be sent, newest first: number, time, recipient, subject and reason."""
    found = asyncio.run(_dead(limit + 1))
    if as_json:
        listed = [msgspec.structs.asdict(mail) | {"email": email} for mail, email in found[:limit]]
        typer.echo(msgspec.json.format(msgspec.json.encode(listed), indent=2))
    else:
        for mail, email in found[:limit]:
            attempts = "1 attempt" if mail.attempts == 1 else f"{mail.attempts} attempts"
            line = (
                f"{mail.id}  {mail.set_aside_at:%Y-%m-%d %H:%M}  {email or 'no account'}  {mail.subject}"
                f"  {attempts}: {mail.last_error}{'' if mail.can_be_sent else ' (its link has expired)'}"
            )
            # A subject must not control the terminal (CWE-150).
            typer.echo("".join(each if each.isprintable() else "?" for each in line))
        if not found:
            typer.echo("There are no e-mails that could not be sent.", err=True)
    if len(found) > limit:
        typer.echo("There are more: raise --limit.", err=True)


@cli.command()
@friendly_errors
def retry(numbers: Numbers = None, every: All = False) -> None:
    """Send e-mails again and reset their attempt counts. First fix the problem that caused the failures."""
    from app.users import dead_mails

    done = asyncio.run(_for_each(_chosen(numbers, every), dead_mails.send_again))
    typer.echo(f"{_count(done)} in the outbox again.")


@cli.command()
@friendly_errors
def drop(
    numbers: Numbers = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation for --all.")] = False,
) -> None:
    """Delete e-mails that could not be sent."""
    from app.users import dead_mails

    chosen = _chosen(numbers, every)
    if every and not yes:
        typer.confirm("Delete every e-mail that could not be sent?", abort=True)
    done = asyncio.run(_for_each(chosen, dead_mails.drop))
    typer.echo(f"{_count(done)} deleted.")


@asynccontextmanager
async def _session() -> AsyncGenerator["AsyncSession"]:
    from app.database import act_as

    async with application() as app, app.state.db.session() as db:
        act_as(db, "cli")
        yield db


async def _dead(limit: int) -> "list[tuple[DeadMail, str | None]]":
    """The e-mails that could not be sent, each with its account's e-mail address."""
    from app.database import services_of_session
    from app.mail import outbox
    from app.users.schemas import dead_mail

    async with _session() as db:
        mails = [dead_mail(row) for row in await outbox.dead_messages(db, limit=limit)]
        ids = [mail.user_id for mail in mails if mail.user_id]
        emails = await services_of_session(db).users.emails_by_id(db, ids)
        return [(mail, emails.get(mail.user_id or "")) for mail in mails]


def _chosen(numbers: list[int] | None, every: bool) -> list[int] | None:
    """The numbers of the chosen e-mails, or None for all."""
    if bool(numbers) == every:
        raise typer.BadParameter("Pass the e-mail numbers listed by `uv run app mail dead`, or use --all.")
    return None if every else numbers


async def _for_each(numbers: list[int] | None, do: "Callable[[AsyncSession, int], Awaitable[None]]") -> int:
    """Call *do* for each e-mail. Returns how many calls succeeded, and prints why the others failed."""
    from app.mail import outbox
    from app.users.exceptions import MailExpired, NoSuchMail

    done = 0
    async with _session() as db:
        chosen = await outbox.dead_ids(db) if numbers is None else numbers
        for number in chosen:
            try:
                await do(db, number)
            except (MailExpired, NoSuchMail) as error:
                typer.echo(f"E-mail {number}: {error}", err=True)
                continue
            # Commit after each e-mail, so that other processes can write in between.
            await db.commit()
            done += 1
    if numbers is not None and done < len(numbers):
        fail(f"{done} of {len(numbers)} e-mails were changed.")
    return done


def _count(number: int) -> str:
    return "1 e-mail is" if number == 1 else f"{number} e-mails are"
