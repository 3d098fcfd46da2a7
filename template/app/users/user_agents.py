"""Readable browser names from the User-Agent header, such as "Firefox on Windows"."""

import re
from functools import lru_cache

from ua_parser import parse_os, parse_user_agent

UNKNOWN = "an unknown browser"
MAX_LENGTH = 80
_BOT = re.compile(r"archiver|indexer|scrape|bot|spider|crawl", re.IGNORECASE)


@lru_cache(maxsize=1024)
def browser_of(user_agent: str) -> str:
    """The browser family and operating system without versions, so that an update does not look like a new
    browser.

    For other clients, returns the first word of the User-Agent, such as `okhttp`.
    """
    agent, system = parse_user_agent(user_agent), parse_os(user_agent)
    # For bots and apps that use CFNetwork, ua-parser returns up to 200 characters of the header, which could
    # be a sentence or a link. Anyone could have that text e-mailed to any address.
    if agent is None or " CFNetwork" in user_agent or _BOT.search(agent.family):
        name = re.split(r"[\s/.:@]", user_agent.strip(), maxsplit=1)[0]
    else:
        name = agent.family
    if not name:
        return UNKNOWN
    return (f"{name} on {system.family}" if system is not None else name)[:MAX_LENGTH]
