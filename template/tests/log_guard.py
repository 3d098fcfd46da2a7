"""Whether any secret of any test has come into the log: the whole run is looked through at its end.

Every record counts, DEBUG too, as the code logs it: without the redaction of `app/logs.py`, which would hide
what this looks for. Secrets are noted where the application makes or takes them. Each process of pytest-xdist
looks through what it has run itself.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest

from app.users.device_cookies import DeviceCookies
from app.users.passwords.hashing import PasswordHasher
from app.users.sessions import Sessions
from app.users.tokens import UserTokens

SHORTEST = 8
"""Characters. A shorter secret would be found in words that have nothing to do with it."""
_LONG = 40

_OTHER_SIDE = ("httpx", "httpcore", "mail.log")
"""Loggers of the clients and servers that the tests talk to the application with."""


class Lines(logging.Handler):
    """Every different text that was logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_OTHER_SIDE):
            self.lines.add(f"{self.format(record)} {_extra(record)}")


def _extra(record: logging.LogRecord) -> str:
    known = vars(logging.makeLogRecord({}))
    return " ".join(str(value) for name, value in vars(record).items() if name not in known)


@contextmanager
def watching() -> Iterator[None]:
    """Fails at the end of the block when a secret that was used in it stands in the log.

    The root logger has to be at DEBUG.
    """
    secrets: set[str] = set()
    handler = Lines()
    root = logging.getLogger()
    with noting(secrets):
        root.addHandler(handler)
        yield
        is_there = handler in root.handlers and root.level == logging.DEBUG
        root.removeHandler(handler)
    assert is_there, "a test has changed the handlers or the level of the root logger and not put them back"
    found = lines_with(secrets, handler.lines)
    assert not found, "a secret stands in the log: " + "\n".join(found)


def lines_with(secrets: Iterable[str], lines: Iterable[str]) -> list[str]:
    """Those of *lines* that hold one of *secrets*."""
    lines = list(lines)
    text = "\n".join(lines)
    # Thousands of tokens are looked for. One without spaces can only stand in a word that is as long, and of
    # these there are few.
    words = "\n".join({word for word in text.split() if len(word) >= _LONG})
    leaked = {
        secret
        for secret in secrets
        if len(secret) >= SHORTEST
        and secret in (words if len(secret) >= _LONG and secret.split() == [secret] else text)
    }
    return [line for line in lines if any(secret in line for secret in leaked)] if leaked else []


@contextmanager
def noting(secrets: set[str]) -> Iterator[None]:
    """Adds every token that is made, and every password that is hashed or verified, to *secrets*."""
    with pytest.MonkeyPatch.context() as patch:

        def note(owner: type, name: str, secret_of: Callable[[Any, tuple[Any, ...]], str]) -> None:
            function = getattr(owner, name)

            @wraps(function)
            def call(self: object, *arguments: Any, **options: Any) -> Any:
                result = function(self, *arguments, **options)
                secrets.add(secret_of(result, arguments))
                return result

            patch.setattr(owner, name, call)

        for issue in (name for name in vars(UserTokens) if name.startswith("issue_")):
            note(UserTokens, issue, lambda token, _: token)
        note(DeviceCookies, "remember", lambda cookie, _: cookie)
        note(Sessions, "_token", lambda token, _: token)
        for check in ("hash", "verify"):
            note(PasswordHasher, check, lambda _, arguments: arguments[0])
        yield
