"""Requests that another site made a browser send (CSRF; ASVS 3.5.1): refused where a cookie authenticates."""

from urllib.parse import urlsplit

from hawkapi import Request

from app.web.framework.application import services_of_request
from app.web.problems import Problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": ":80", "https": ":443"}


class CrossSiteRequest(Problem):
    """The 403 of `require_same_origin`; a handler for it sees every refusal."""


def require_same_origin(request: Request) -> None:
    """Refuse an unsafe request unless the browser says that it comes from a page of this application.

    Browsers say it in `Sec-Fetch-Site`, which no page can change, and older ones in `Origin` alone, which is
    compared with BASE_URL. A request that says neither is refused: whoever uses a cookie outside a browser
    sends `Origin` along.

    Raises:
        CrossSiteRequest: answered 403.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = _origin_of(services_of_request(request).settings.base_url)
    is_ours = site == "same-origin" if site is not None else request.headers.get("origin") == origin
    if not is_ours:
        raise CrossSiteRequest(
            403,
            "With a cookie, this is accepted from pages of this application alone. A client that is no"
            f" browser sends the header Origin: {origin}",
        )


def _origin_of(address: str) -> str:
    """As browsers write it: in lower case, and without the port that the scheme stands for (RFC 6454)."""
    parts = urlsplit(address.lower())
    return f"{parts.scheme}://{parts.netloc.removesuffix(_PORTS[parts.scheme])}"
