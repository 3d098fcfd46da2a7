"""The checks of a new password: the rules of `check_password`, with the data that they need.

A password must not consist of these words (ASVS 6.1.2, 6.2.11): APP_NAME, the owner's e-mail address, its
local part, its domain without the last label, and the owner's names (`NAME_COLUMNS`). All but the e-mail
address are also split into single words.
"""

import asyncio
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.users.exceptions import InvalidPassword
from app.users.passwords.hashing import check_password
from app.users.passwords.pwned import BreachCheck

NAME_COLUMNS = (
    "name",
    "first_name",
    "last_name",
    "full_name",
    "username",
    "nickname",
    # Your own columns go below; template updates never touch them.
)
"""Columns of `User` that hold names of its owner. Missing columns are skipped."""


def context_words(email: str, columns: Mapping[str, Any]) -> set[str]:
    """Words that an attacker tries for the owner of *email*. *columns* are the values of the account."""
    local, _, domain = email.rpartition("@")
    names = [value for name in NAME_COLUMNS if isinstance(value := columns.get(name), str)]
    return {email, *_with_parts(local, domain.rpartition(".")[0], *names)}


def _with_parts(*texts: str) -> Iterable[str]:
    for text in texts:
        yield text
        yield from re.split(r"[\W_]+", text)


@dataclass
class PasswordPolicy:
    """Checks only the length, the characters and the words about the owner by default."""

    app_name: str = ""
    load_common: Callable[[], Container[str]] | None = None
    """Reads the list of common passwords. It is called once, in a thread, when first needed."""
    breaches: BreachCheck | None = None
    _common: Container[str] | None = field(default=None, init=False, repr=False)

    async def check(self, password: str, *, min_length: int, words: Iterable[str] = ()) -> None:
        """Check everything. This may wait for a server: do not hold a transaction meanwhile.

        Raises:
            InvalidPassword: with a message for the user.
        """
        await self.check_rules(password, min_length=min_length, words=words)
        if self.breaches is not None and await self.breaches.knows(password):
            raise InvalidPassword(
                "This password is known from a data breach. Choose another one, and change it wherever you"
                " use it."
            )

    async def check_rules(self, password: str, *, min_length: int, words: Iterable[str] = ()) -> None:
        """Like `check`, without the breach check."""
        if self._common is None and self.load_common is not None:
            self._common = await asyncio.to_thread(self.load_common)
        check_password(
            password,
            min_length=min_length,
            common=self._common or (),
            words={*words, *_with_parts(self.app_name)},
        )

    async def close(self) -> None:
        """Close the connections of the breach check."""
        if self.breaches is not None:
            await self.breaches.close()
