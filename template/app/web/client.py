"""Who is at the other end of a request, as far as HTTP tells: the address and the browser."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from hawkapi import Request

MAX_USER_AGENT = 512
"""Characters that are kept; what comes from outside has no end of its own."""


@dataclass(frozen=True, slots=True)
class Client:
    """Both are empty where nothing is known, as on the command line."""

    address: str = ""
    user_agent: str = ""


def client_of(request: Request) -> Client:
    """Address and browser. X-Forwarded-For counts as far as TRUSTED_PROXIES have written it, no further."""
    peer: tuple[str, int] | None = request.scope.get("client")
    trusted = request.scope["app"].state.settings.trusted_proxies
    # Several lines are one list (RFC 9110, section 5.3): a proxy may add its own below the client's.
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    address = _address(peer[0] if peer else "", forwarded, trusted)
    agent = request.headers.get("user-agent") or ""
    return Client(address, "".join(each for each in agent if each.isprintable())[:MAX_USER_AGENT])


def _address(peer: str, forwarded: str, trusted: list[IPv4Network | IPv6Network]) -> str:
    """Each proxy appends the address that it was asked from, so the list is read from its end.

    The first that is not a proxy of ours is the client; what stands before it, anybody may have written.
    """
    address = _plain(peer)
    for each in reversed([part for part in forwarded.split(",") if part.strip()]):
        written = _plain(each.strip())
        if not written or not _is_one_of(address, trusted):
            break
        address = written
    return address


def _plain(text: str) -> str:
    """The one spelling of an address, without port and zone; empty for what is none."""
    bare = text.removeprefix("[").partition("]")[0] if text.startswith("[") else text
    try:
        address = ip_address((bare.partition(":")[0] if bare.count(":") == 1 else bare).partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def _is_one_of(address: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    return bool(address) and any(ip_address(address) in network for network in networks)
