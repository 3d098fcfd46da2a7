"""Mailboxes that no longer receive e-mail because an e-mail bounced or the owner complained."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import application, fail, friendly_errors

if TYPE_CHECKING:
    from app.mail_webhooks.bounces import BouncedMailbox

cli = typer.Typer(no_args_is_help=True, help=__doc__)


@cli.command()
@friendly_errors
def bounced() -> None:
    """List the mailboxes that no longer receive e-mail, newest first."""
    rows = asyncio.run(_bounced())
    for row in rows:
        typer.echo(f"{row.bounced_at:%Y-%m-%d %H:%M}  {row.reason:9}  {row.email}")
    if not rows:
        typer.echo("No mailbox is marked.")


@cli.command()
@friendly_errors
def clear(email: Annotated[str, typer.Argument(help="The e-mail address.")]) -> None:
    """Resume e-mail to an address, for example because its owner says that the mailbox works again."""
    from app.mail_webhooks.bounces import NotMarked

    try:
        asyncio.run(_clear(email))
    except NotMarked:
        fail(f"{email} is not marked. `uv run app mail-webhooks bounced` lists the addresses that are.")
    typer.echo(
        f"{email} receives e-mail again. Also remove it from your provider's suppression list, if any."
    )


async def _bounced() -> "list[BouncedMailbox]":
    from app.mail_webhooks.bounces import marked

    async with application() as app, app.state.db.session(commit=False) as db:
        return await marked(db)


async def _clear(email: str) -> None:
    from app.database import act_as
    from app.mail_webhooks.bounces import clear_by_hand

    async with application() as app, app.state.db.session() as db:
        act_as(db, "cli")
        await clear_by_hand(db, email)
