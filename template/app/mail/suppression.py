"""Recipients that get no mail, although the application sends it. Template-owned.

A feature that knows such addresses adds a function to SUPPRESSIONS when it is imported. The worker asks them
just before it sends. So a request does the same for every address, and its response reveals nothing.
"""

from collections.abc import Awaitable, Callable
from email.utils import parseaddr

from hawkapi_mail import EmailMessage
from hawkapi_sqlalchemy import Database
from sqlalchemy.ext.asyncio import AsyncSession

type Suppression = Callable[[AsyncSession, set[str]], Awaitable[set[str]]]
"""Returns the addresses, of those given, that get no mail."""

SUPPRESSIONS: list[Suppression] = []


async def is_suppressed(database: Database, message: EmailMessage) -> bool:
    """Whether no recipient of *message* may get it."""
    left = {parseaddr(each)[1] or each for each in message.all_recipients()}
    if not SUPPRESSIONS or not left:
        return False
    async with database.session(commit=False) as db:
        for suppressed in SUPPRESSIONS:
            left -= await suppressed(db, left)
    return not left
