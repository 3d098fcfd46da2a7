"""Protection against cross-site request forgery (CSRF) for requests authenticated by a cookie (ASVS
3.5.1)."""

from urllib.parse import urlsplit

from hawkapi import Request

from app.i18n import gettext as _
from app.web.framework.application import services_of_request
from app.web.framework.openapi_metadata import needs
from app.web.problems import Problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": ":80", "https": ":443"}


class CrossSiteRequest(Problem):
    """The 403 that `require_same_origin` raises. An exception handler for it sees every refusal."""


@needs("")
def require_same_origin(request: Request) -> None:
    """Refuse an unsafe request unless the browser says that it comes from a page of this application.

    Browsers say so in `Sec-Fetch-Site`, which pages cannot change. Older browsers send only `Origin`, which
    is compared with BASE_URL. A request with neither header is refused. Clients other than browsers that use
    the cookie must send `Origin`.

    Raises:
        CrossSiteRequest: the request may come from another site.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = _origin_of(services_of_request(request).settings.base_url)
    is_ours = site == "same-origin" if site is not None else request.headers.get("origin") == origin
    if not is_ours:
        sentence = _(
            "Cross-site request refused. Requests authenticated by a cookie must come from pages of this"
            " application. Clients other than browsers must send the header Origin: {origin}"
        )
        raise CrossSiteRequest(403, sentence.format(origin=origin), code="cross_site_request")


def _origin_of(address: str) -> str:
    """The origin as browsers send it: in lower case, without the scheme's default port (RFC 6454)."""
    parts = urlsplit(address.lower())
    return f"{parts.scheme}://{parts.netloc.removesuffix(_PORTS[parts.scheme])}"
