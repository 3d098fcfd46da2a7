"""Secrets in text that is about to be logged. A second line of defence: the first is not to log them.

What looks like a JWT, a session's token, a bearer token, a header that authenticates, a password with its
name beside it, a login in an address, or what PostgreSQL quotes of a row (`driver_errors.py`) becomes
`[redacted]`. A secret that looks like nothing in particular cannot be found; tests/log_guard.py looks for
those that the tests know.
"""

import re
from typing import Any, cast

REDACTED = "[redacted]"

_QUOTED = r"""b?(?P<quote>\\*["'])(?:(?!(?P=quote))(?:\\.|[^\\\r\n]))*+(?P=quote)"""
"""A text in quotes; these may be escaped themselves, as in JSON within JSON."""
_WORD = r"""[^\s,;&"'(){}\[\]]+"""
_HEADERS = r"(?:set-cookie|cookie|(?:proxy-)?authorization)"
_PASSWORDS = r"(?:password|passwd|passphrase|secret|secret_key|api_key|access_token|refresh_token)"

# None of them may take more than a look at each character: whoever sends the text would stop the process.
_PATTERNS = [
    # eyJ is {" in base64url, with which every header of a JWT begins.
    (re.compile(r"eyJ[\w-]{1,500}\.[\w-]+\.[\w-]*"), REDACTED),
    # id.secret, as app/users/sessions.py makes it.
    (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\.[\w-]{40,}=*"), REDACTED),
    # 'cookie': 'a=b', and (b'cookie', b'a=b') as ASGI has it.
    (re.compile(rf"""({_HEADERS}\\*["']\s*[:=,]\s*){_QUOTED}""", re.IGNORECASE), rf"\1{REDACTED}"),
    # Cookie: a=b; c="d"
    (re.compile(rf"\b({_HEADERS}\s*[:=][ \t]*)(?!\[redacted\])[^\r\n]+", re.IGNORECASE), rf"\1{REDACTED}"),
    # A name of a secret, and what follows it, in quotes or not.
    (
        re.compile(rf"""({_PASSWORDS}\\*["']?\s*[:=]\s*)(?:{_QUOTED}|{_WORD})""", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"""\b(bearer\s+)[^\s"'\\,;\[]+""", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"""(://)[^\s/?#"']*@"""), rf"\1{REDACTED}@"),
    # To the end of its line, which is written \n where a log line was made of several.
    (re.compile(r"(DETAIL:[ \t]+)(?:(?!\\n)[^\r\n])+"), rf"\1{REDACTED}"),
]
_SIGNS = (
    "://",
    "bearer",
    "cookie",
    "authorization",
    "passw",
    "passphrase",
    "secret",
    "_key",
    "_token",
    "detail:",
)
_LONG_SECRET = re.compile(r"\.[\w-]{40}")


def redact(text: str) -> str:
    """*text* without what looks like a secret."""
    if not may_hold_a_secret(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def may_hold_a_secret(text: str) -> bool:
    """Next to no line does, and to find that out takes a microsecond or two."""
    lower = text.lower()
    return "eyJ" in text or any(sign in lower for sign in _SIGNS) or _LONG_SECRET.search(text) is not None


def redact_all(value: Any) -> Any:
    """*value* for JSON: every text in it redacted, what is no JSON as its redacted text."""
    match value:
        case str():
            return redact(value)
        case None | bool() | int() | float():
            return value
        case dict():
            pairs = cast(dict[object, object], value).items()
            return {redact(str(key)): _named(str(key), each) for key, each in pairs}
        case list() | tuple() | set() | frozenset():
            return [redact_all(each) for each in cast(list[object], value)]
        case _:
            return redact(str(value))


def _named(name: str, value: object) -> object:
    return REDACTED if _SECRET_NAME.fullmatch(name) and value is not None else redact_all(value)


_SECRET_NAME = re.compile(rf"{_HEADERS}|[\w-]*{_PASSWORDS}", re.IGNORECASE)
