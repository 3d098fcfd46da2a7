"""At the end of the test run, checks whether any test logged a secret.

Log records of every level, including DEBUG, are checked before `app/logs.py` redacts them. Secrets are
collected where the application creates or accepts them. Each pytest-xdist worker checks its own tests.
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
"""The minimum length in characters. A shorter secret would also match unrelated words."""
_LONG = 40

_OTHER_SIDE = ("httpx", "httpcore", "mail.log")
"""Loggers of the test clients and servers."""


class Lines(logging.Handler):
    """The distinct messages that were logged."""

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
    """Fails at the end of the block if the block logged a secret. The root logger's level must be DEBUG."""
    secrets: set[str] = set()
    handler = Lines()
    root = logging.getLogger()
    with noting(secrets):
        root.addHandler(handler)
        yield
        is_there = handler in root.handlers and root.level == logging.DEBUG
        root.removeHandler(handler)
    assert is_there, "a test changed the handlers or the level of the root logger and did not restore them"
    found = lines_with(secrets, handler.lines)
    assert not found, "a secret was logged: " + "\n".join(found)


def lines_with(secrets: Iterable[str], lines: Iterable[str]) -> list[str]:
    """The *lines* that contain one of *secrets*."""
    lines = list(lines)
    text = "\n".join(lines)
    # Searching all the text for thousands of tokens would be slow. A token without spaces can only occur
    # in a word that is at least as long, and there are few such words.
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
    """Adds every token that is created, and every password that is hashed or verified, to *secrets*."""
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
