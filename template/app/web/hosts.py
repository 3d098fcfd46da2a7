"""Which host names are served: ALLOWED_HOSTS. Others are refused before anything trusts the name.

X-Forwarded-Host is read nowhere. Links are built from BASE_URL, so this is a second line of defence: caches
and browsers (DNS rebinding) are led by the name as well.

A request may name a host in its target too (`GET http://name/ HTTP/1.1`, `:authority` of HTTP/2), and then
that one is meant, not the field Host (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1). Granian 2.8 passes
it on as Host where there is no such field, and drops it where there is one: it cannot be compared here, and
Host counts. So a proxy in front has to send the name that it went by as Host.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from app.web.interface import Application
from app.web.problems import problem_response

_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")
_EXEMPT = frozenset({"/livez", "/readyz", "/healthz"})
"""Load balancers and the container's own check ask by address."""


def check_host(app: Application, allowed: Iterable[str]) -> Application:
    """Answer 400 unless the host is one of *allowed*; with none there, any host is."""
    names = frozenset(allowed)
    as_sent = frozenset(f"[{name}]".encode() if ":" in name else name.encode() for name in names)

    def refusal(hosts: list[bytes]) -> str:
        if len(hosts) > 1:
            # Which of them counts, the proxy in front may see otherwise (RFC 9112, section 3.2).
            return "The request names more than one host."
        if not names or (hosts and (hosts[0] in as_sent or host_name(hosts[0].decode("latin-1")) in names)):
            return ""
        return "This host name is not served here."

    async def layer(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in _EXEMPT:
            sentence = refusal([value for name, value in scope["headers"] if name == b"host"])
            if sentence:
                await problem_response(400, sentence)(scope, receive, send)
                return
        await app(scope, receive, send)

    return layer


def host_name(host: str) -> str:
    """The name in a Host header, without the port, in lower case; empty for what is none."""
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return ""
    if found["name"]:
        return found["name"]
    try:
        return str(ip_address(found["address"]))
    except ValueError:
        return ""
