"""What people call their browser: "Firefox on Windows" for what it says of itself in User-Agent."""

import re

from ua_parser import parse_os, parse_user_agent

UNKNOWN = "an unknown browser"
MAX_LENGTH = 80


def browser_of(user_agent: str) -> str:
    """Family and system without their versions, so that an update does not make another browser of it.

    What is no browser known to ua-parser is called by the first word that it says of itself: `okhttp`.
    """
    agent, system = parse_user_agent(user_agent), parse_os(user_agent)
    name = agent.family if agent is not None else re.split(r"[\s/]", user_agent.strip(), maxsplit=1)[0]
    if not name:
        return UNKNOWN
    return (f"{name} on {system.family}" if system is not None else name)[:MAX_LENGTH]
