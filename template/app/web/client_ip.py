"""The client that sent a request: its IP address and user agent."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from hawkapi import Request

from app.web.framework.asgi import Scope

MAX_USER_AGENT = 512
"""The maximum number of characters stored. Clients can send a header of any length."""


@dataclass(frozen=True, slots=True)
class Client:
    """The client that sent a request.

    A field is empty if its value is unknown, for example when a command makes a change.
    """

    ip_address: str = ""
    user_agent: str = ""

    @property
    def network(self) -> str:
        """The network to which rate limits apply: an IPv4 address, or the /64 that contains an IPv6 address.

        A site is assigned at least a /64 (RFC 6177). All clients whose address is unknown, such as those
        behind a Unix socket without TRUSTED_PROXIES, share one network.
        """
        if not self.ip_address:
            return "unknown"
        if ":" not in self.ip_address:
            return self.ip_address
        return str(ip_network((self.ip_address, 64), strict=False))


def client_of(request: Request) -> Client:
    """The client that sent *request*. X-Forwarded-For is trusted only from a proxy in TRUSTED_PROXIES."""
    agent = request.headers.get("user-agent") or ""
    printable = agent if agent.isprintable() else "".join(each for each in agent if each.isprintable())
    return Client(address_of(request.scope), printable[:MAX_USER_AGENT])


def address_of(scope: Scope) -> str:
    """The client's IP address, or an empty string if it is not known."""
    trusted = _trusted(scope)
    if not trusted:
        return _plain(_peer(scope))
    # Several header lines form one list (RFC 9110, section 5.3): a proxy may add its line below the client's.
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return _address(_peer(scope), ",".join(lines), trusted)


def is_from_proxy(scope: Scope) -> bool:
    """Whether the connection comes from a proxy in TRUSTED_PROXIES, whose headers can be trusted."""
    trusted = _trusted(scope)
    return bool(trusted) and _is_proxy(_plain(_peer(scope)), trusted)


def _peer(scope: Scope) -> str:
    peer: tuple[str, int] | None = scope.get("client")
    return peer[0] if peer else ""


def _trusted(scope: Scope) -> list[IPv4Network | IPv6Network]:
    settings = getattr(scope["app"].state, "settings", None)
    return settings.trusted_proxies if settings is not None else []


def _address(peer: str, forwarded: str, trusted: list[IPv4Network | IPv6Network]) -> str:
    """The client's address. Each proxy appends the address from which it received the request.

    The last address that is not a trusted proxy's is the client's. The entries before that one may be forged.
    """
    address = _plain(peer)
    for each in reversed([part for part in forwarded.split(",") if part.strip()]):
        if not _is_proxy(address, trusted):
            # The client may have forged the remaining entries. Do not parse them: `_plain` would cache them.
            break
        written = _plain(each.strip())
        if not written:
            break
        address = written
    return address


@lru_cache(4096)
def _plain(text: str) -> str:
    """The IP address *text* in canonical form, without its port or zone. Empty if *text* is not an IP
    address."""
    bare = text.removeprefix("[").partition("]")[0] if text.startswith("[") else text
    try:
        address = ip_address((bare.partition(":")[0] if bare.count(":") == 1 else bare).partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def _is_proxy(address: str, trusted: list[IPv4Network | IPv6Network]) -> bool:
    # The only peer without an address is a proxy on the same machine that connects through a Unix socket.
    return not address or any(ip_address(address) in network for network in trusted)
