"""Readable browser names from the User-Agent header, such as "Firefox on Windows"."""

import re
from functools import lru_cache

from ua_parser import parse_os, parse_user_agent

UNKNOWN = "an unknown browser"
MAX_LENGTH = 80


@lru_cache(maxsize=1024)
def browser_of(user_agent: str) -> str:
    """The browser family and operating system without versions, so that an update does not look like a new
    browser.

    If ua-parser does not recognize the client, returns the first word of the User-Agent, such as `okhttp`.
    """
    agent, system = parse_user_agent(user_agent), parse_os(user_agent)
    name = agent.family if agent is not None else re.split(r"[\s/]", user_agent.strip(), maxsplit=1)[0]
    if not name:
        return UNKNOWN
    return (f"{name} on {system.family}" if system is not None else name)[:MAX_LENGTH]
