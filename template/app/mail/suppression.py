"""Suppressed recipients: the worker discards an e-mail if all its recipients are suppressed. Template-owned.

A feature that suppresses addresses adds a function to SUPPRESSIONS when it is imported. The worker calls
these functions just before it sends an e-mail. A request therefore does the same work for every address, and
its response does not reveal which addresses are suppressed. To learn when a server reports that a mailbox
does not exist, a feature adds a function to ON_MISSING.
"""

from collections.abc import Awaitable, Callable
from email.utils import parseaddr

from hawkapi_mail import EmailMessage
from hawkapi_sqlalchemy import Database
from sqlalchemy.ext.asyncio import AsyncSession

type Suppression = Callable[[AsyncSession, set[str]], Awaitable[set[str]]]
"""Returns the given addresses that are suppressed."""

SUPPRESSIONS: list[Suppression] = []

ON_MISSING: list[Callable[[AsyncSession, set[str]], Awaitable[None]]] = []
"""Called with addresses that have no mailbox, in the transaction that sets their e-mail aside."""


async def is_suppressed(database: Database, message: EmailMessage) -> bool:
    """Whether every recipient of *message* is suppressed."""
    left = _addresses(message)
    if not SUPPRESSIONS or not left:
        return False
    async with database.session(commit=False) as db:
        for suppressed in SUPPRESSIONS:
            left -= await suppressed(db, left)
    return not left


async def note_missing(db: AsyncSession, message: EmailMessage) -> None:
    """Call the functions in ON_MISSING, because the recipients of *message* have no mailbox."""
    for note in ON_MISSING:
        await note(db, _addresses(message))


def _addresses(message: EmailMessage) -> set[str]:
    return {parseaddr(each)[1] or each for each in message.all_recipients()}
