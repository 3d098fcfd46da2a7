"""Which passwords are accepted. Add your own rules to `check_password`.

PASSWORD_MIN_LENGTH (`app/settings.py`) sets the minimum length.

A password must not consist mainly of these words (ASVS 6.1.2, 6.2.11): APP_NAME, the owner's e-mail address,
its local part, its domain without the last label, and the owner's names (`NAME_COLUMNS`). All of these
except the e-mail address are also split into individual words.
"""

import asyncio
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.i18n import gettext as _
from app.users.exceptions import InvalidPassword
from app.users.passwords.pwned import BreachCheck
from app.users.passwords.spellings import readings, spellings

MAX_LENGTH = 128
"""Maximum length in characters. Without a limit, a client could make the server hash a megabyte."""

MIN_OWN_LENGTH = 8
"""Minimum number of characters in addition to known words about the owner (ASVS 6.2.1, 6.2.11)."""

MIN_WORD = 4
"""Minimum length of a known word, in characters. Too many passwords happen to contain a shorter word."""

NAME_COLUMNS = (
    "name",
    "first_name",
    "last_name",
    "full_name",
    "username",
    "nickname",
    # Your own columns go below; template updates never touch them.
)
"""Columns of `User` that contain the owner's names. Missing columns are skipped."""


def check_password(
    password: str, *, min_length: int = 12, common: Container[str] = (), words: Iterable[str] = ()
) -> None:
    """Check a new password against the rules. The rules limit a password's length in characters, but not its
    composition (ASVS 6.2.1, 6.2.5).

    The password must not be one of *common* (casefolded; ASVS 6.2.4), even with digits and symbols added at
    the end or in place of letters. Nor may it be little more than *words*: once these words are removed (in
    any case, and with digits and symbols read as letters), at least `MIN_OWN_LENGTH` letters and digits must
    remain. These must include a letter, unless the whole password has none. A password that contains none of
    the words always passes this check.

    Raises:
        InvalidPassword: the password breaks a rule. The message tells the user which one.
    """
    if len(password) < min_length:
        raise InvalidPassword(
            _("The password is too short: use at least %(count)s characters.") % {"count": min_length},
            reason="password_too_short",
        )
    if len(password) > MAX_LENGTH:
        raise InvalidPassword(
            _("The password is too long: use at most %(count)s characters.") % {"count": MAX_LENGTH},
            reason="password_too_long",
        )
    if any("\ud800" <= character <= "\udfff" or character == "\0" for character in password):
        raise InvalidPassword(
            _("The password contains characters that cannot be stored."), reason="password_not_storable"
        )
    if any(spelling in common for spelling in spellings(password.casefold())):
        raise InvalidPassword(
            _(
                "This password is too common, or is a common one with digits or symbols. Choose another,"
                " such as four random words."
            ),
            reason="password_common",
        )
    if _is_little_more_than(words, password.casefold()):
        raise InvalidPassword(
            _(
                "The password is little more than your name, your e-mail address or the name of this"
                " application. Choose another, such as four random words."
            ),
            reason="password_personal",
        )
    # Your own rules go below; template updates never touch them.


def _is_little_more_than(words: Iterable[str], typed: str) -> bool:
    plain = {_letters_and_digits(word) for word in words}
    known = sorted(plain, key=lambda word: (-len(word), word))
    is_number = not any(character.isalpha() for character in typed)
    for reading in readings(typed):
        own = _without(known, typed, reading)
        if own is not None and (len(own) < MIN_OWN_LENGTH or (own.isdigit() and not is_number)):
            return True
    return False


def _without(words: Iterable[str], typed: str, read: str) -> str | None:
    """The letters and digits of *typed* that remain when the *words* found in *read* are removed, or None if
    *read* contains none of the words."""
    pairs = [(one, other) for one, other in zip(typed, read, strict=True) if other.isalnum()]
    typed, read = "".join(one for one, _ in pairs), "".join(other for _, other in pairs)
    length = len(read)
    for word in words:
        while len(word) >= MIN_WORD and (start := read.find(word)) >= 0:
            end = start + len(word)
            typed, read = typed[:start] + typed[end:], read[:start] + read[end:]
    return None if len(read) == length else _letters_and_digits(typed)


def _letters_and_digits(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def context_words(email: str, columns: Mapping[str, Any]) -> set[str]:
    """Words that an attacker would try when guessing the password of *email*'s owner. *columns*: the
    account's column values."""
    local, _, domain = email.rpartition("@")
    names = [value for name in NAME_COLUMNS if isinstance(value := columns.get(name), str)]
    return {email, *_with_parts(local, domain.rpartition(".")[0], *names)}


def _with_parts(*texts: str) -> Iterable[str]:
    for text in texts:
        yield text
        yield from re.split(r"[\W_]+", text)


@dataclass
class PasswordPolicy:
    """Checks new passwords. By default, rejects a password only for its length, its characters or words about
    the owner."""

    app_name: str = ""
    load_common: Callable[[], Container[str]] | None = None
    """Reads the list of common passwords. Called once, in a thread, when first needed."""
    breaches: BreachCheck | None = None
    _common: Container[str] | None = field(default=None, init=False, repr=False)

    async def check(self, password: str, *, min_length: int, words: Iterable[str] = ()) -> None:
        """Apply all checks. This may query a remote server, so do not call it inside a transaction.

        Raises:
            InvalidPassword: the password is not allowed. The message tells the user why.
        """
        await self.check_rules(password, min_length=min_length, words=words)
        if self.breaches is not None and await self.breaches.knows(password):
            raise InvalidPassword(
                _(
                    "This password is known from a data breach. Choose another, and change it everywhere"
                    " you use it."
                ),
                reason="password_breached",
            )

    async def check_rules(self, password: str, *, min_length: int, words: Iterable[str] = ()) -> None:
        """Like `check`, but without the breach check."""
        if self._common is None and self.load_common is not None:
            self._common = await asyncio.to_thread(self.load_common)
        check_password(
            password,
            min_length=min_length,
            common=self._common or (),
            words={*words, *_with_parts(self.app_name)},
        )

    async def close(self) -> None:
        """Close the breach check's connections."""
        if self.breaches is not None:
            await self.breaches.close()
