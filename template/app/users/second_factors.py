"""The interface between accounts and second factors. The factors themselves are separate features.

A feature sets `UserManager.second_factors`. If an account has a factor, the password alone does not start a
session: `log_in` raises `SecondFactorRequired` with a ticket. The feature calls `UserManager.finish_login`
once the user has provided the factor. Template-owned.
"""

from typing import Protocol

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.users.models import User


class SecondFactors(Protocol):
    """Gives access to the second factors of all accounts."""

    def number_of(self, user_id: str) -> ColumnElement[int]:
        """The number of factors that an account has, as a subquery. A login embeds this subquery in
        another query, so an account without a factor needs no extra query."""
        ...

    async def methods_of(self, db: AsyncSession, user: User) -> list[str]:
        """The kinds of second factor that *user* can send, such as `code`. Empty if they have none."""
        ...

    async def names_of(self, db: AsyncSession, user: User) -> list[str]:
        """The names of the factors that *user* has set up, such as `totp`."""
        ...

    async def recovery_codes_left(self, db: AsyncSession, user: User) -> int:
        """How many recovery codes *user* has left."""
        ...

    async def begin(self, db: AsyncSession, user: User, *, kind: str, remember: bool) -> tuple[str, str]:
        """Store a login that is waiting for a second factor. Returns a ticket and a key for the browser.

        *kind*, *remember*: properties of the session that will start once the factor is provided.
        """
        ...

    async def cancel(self, db: AsyncSession, ticket: str) -> None:
        """Cancel the login that is waiting with *ticket*. An unknown ticket has no effect."""
        ...

    async def reset(self, db: AsyncSession, user: User) -> list[str]:
        """Remove all factors from an account whose owner has lost them. Returns the factors' names.

        Raises:
            NoSecondFactor: the account has no second factor.
        """
        ...
