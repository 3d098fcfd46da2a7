"""The rules for passwords, and hashing that does not block the event loop and has a bounded queue.

Argon2id with hawkapi-auth's parameters (64 MiB, 3 passes, 4 lanes; RFC 9106): about 80 ms and 64 MiB for each
hash. Your own rules go into `check_password`.
"""

import asyncio
import threading
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor

from hawkapi_auth import hash_password, needs_rehash, verify_password

from app.users.exceptions import HashingBusy, InvalidPassword
from app.users.passwords.spellings import readings, spellings

MAX_LENGTH = 128
"""Characters. Without a limit, a client could make the server hash a megabyte."""

MIN_OWN_LENGTH = 8
"""Characters that a password needs besides the known words about its owner (ASVS 6.2.1, 6.2.11)."""

MIN_WORD = 4
"""Characters. Too many passwords contain a shorter word by chance."""

DUMMY_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$yTVKs6DTGKvBgW1BUrAmZg$i1G/DjG3tL0pcxVwg4itOODnNCLK77mod/B3Wj1LGQU"
)
"""The hash of an unknown password, with hawkapi-auth's parameters. It is verified when the user does not
exist, so that known and unknown addresses cost the same."""


def check_password(
    password: str, *, min_length: int = 12, common: Container[str] = (), words: Iterable[str] = ()
) -> None:
    """The rules for a new password: its length in characters, and no rule of composition (ASVS 6.2.1, 6.2.5).

    It must not be one of *common*, which are casefolded (ASVS 6.2.4), also with digits and signs added at the
    end or in place of letters. It must not be little more than *words* either. Without these words, in any
    case and in the same spellings, `MIN_OWN_LENGTH` letters and digits must remain, and not only digits. The
    last rule does not apply to a password that contains none of the words.

    Raises:
        InvalidPassword: with a message for the user.
    """
    if len(password) < min_length:
        raise InvalidPassword(f"The password is too short: use at least {min_length} characters.")
    if len(password) > MAX_LENGTH:
        raise InvalidPassword(f"The password is too long: use at most {MAX_LENGTH} characters.")
    if any("\ud800" <= character <= "\udfff" or character == "\0" for character in password):
        raise InvalidPassword("The password holds characters that cannot be stored.")
    if any(spelling in common for spelling in spellings(password.casefold())):
        raise InvalidPassword(
            "This password is too common, or is a common one with digits or signs."
            " Choose another, for example four random words."
        )
    if _is_little_more_than(words, password.casefold()):
        raise InvalidPassword(
            "The password is little more than your name, your e-mail address or the name of this application."
            " Choose another, for example four random words."
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
    """The letters and digits of *typed* outside the *words* found in *read*; None if *read* has none of
    them."""
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


class PasswordHasher:
    """Hashes in *threads* threads. Raises `HashingBusy` when *queue* more callers are already waiting."""

    def __init__(self, *, threads: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "password")
        self._places = threading.BoundedSemaphore(threads + queue)

    async def hash(self, password: str) -> str:
        """The Argon2id hash of *password*."""
        return await self._run(lambda: hash_password(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether *password* has the hash *hashed*. For None it does the same work and returns False."""
        matches = await self._run(lambda: verify_password(password, hashed or DUMMY_HASH))
        return matches and hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether *hashed* was made with parameters that are no longer in use."""
        return needs_rehash(hashed)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run[T](self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise HashingBusy
        future = self._pool.submit(work)
        # The place stays taken until the work has ended, even if the caller has disconnected.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)
