"""Removes secrets from text before it is logged. This is a second line of defense; the first is not to log
secrets.

`[redacted]` replaces JWTs, tokens in e-mailed links, session tokens, bearer tokens, authentication headers,
passwords after a name such as `password`, credentials in URLs and row values quoted by PostgreSQL (see
`app/database/driver_errors.py`). Secrets without a recognizable format are not detected.
`tests/log_guard.py` checks that no test logs a secret.
"""

import re
from typing import Any, cast

REDACTED = "[redacted]"

_QUOTED = r"""b?(?P<quote>\\*["'])(?:(?!(?P=quote))(?:\\.|[^\\\r\n]))*+(?P=quote)"""
"""A quoted string. The quotes may be escaped, as in JSON within JSON."""
_WORD = r"""[^\s,;&"'(){}\[\]]+"""
_HEADERS = r"(?:set-cookie|cookie|(?:proxy-)?authorization)"
_PASSWORDS = r"(?:password|passwd|passphrase|secret|secret_key|api_key|access_token|refresh_token)"

# Each pattern must run in linear time, because clients send some of the text, and backtracking could stall
# the process.
_PATTERNS = [
    # Every JWT header starts with `{"`, which is `eyJ` in base64url.
    (re.compile(r"eyJ[\w-]{1,500}\.[\w-]+\.[\w-]*"), REDACTED),
    # The tokens in e-mailed links (app/users/mail_tokens.py).
    (re.compile(r"mt_[\w-]{70,}"), REDACTED),
    # Session tokens, in the form id.secret (app/users/sessions.py).
    (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\.[\w-]{40,}=*"), REDACTED),
    # 'cookie': 'a=b', and (b'cookie', b'a=b') in ASGI.
    (re.compile(rf"""({_HEADERS}\\*["']\s*[:=,]\s*){_QUOTED}""", re.IGNORECASE), rf"\1{REDACTED}"),
    # Cookie: a=b; c="d"
    (re.compile(rf"\b({_HEADERS}\s*[:=][ \t]*)(?!\[redacted\])[^\r\n]+", re.IGNORECASE), rf"\1{REDACTED}"),
    # The name of a secret, followed by its quoted or unquoted value.
    (
        re.compile(rf"""({_PASSWORDS}\\*["']?\s*[:=]\s*)(?:{_QUOTED}|{_WORD})""", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"""\b(bearer\s+)[^\s"'\\,;\[]+""", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"""(://)[^\s/?#"']*@"""), rf"\1{REDACTED}@"),
    # Redact up to the end of the line, or up to an escaped line break if several lines were joined into one.
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
    "mt_",
    "detail:",
)
_LONG_SECRET = re.compile(r"\.[\w-]{40}")


def redact(text: str) -> str:
    """*text* with everything that looks like a secret replaced."""
    if not may_hold_a_secret(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def may_hold_a_secret(text: str) -> bool:
    """Whether *text* may hold a secret. Most text does not, so this check must be fast (two microseconds)."""
    lower = text.lower()
    return "eyJ" in text or any(sign in lower for sign in _SIGNS) or _LONG_SECRET.search(text) is not None


def redact_all(value: Any) -> Any:
    """*value* with every string in it redacted. Values of types unknown to JSON become redacted strings."""
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
