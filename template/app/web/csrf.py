"""Protection against cross-site request forgery (CSRF) for requests authenticated by a cookie (ASVS
3.5.1)."""

from hawkapi import Request

from app.i18n import gettext as _
from app.settings_checks.types import origin_of
from app.web.framework.application import services_of_request
from app.web.framework.openapi_metadata import needs
from app.web.problems import Problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteRequest(Problem):
    """The 403 that `require_same_origin` raises. An exception handler for this class sees every rejection."""


@needs("")
def require_same_origin(request: Request) -> None:
    """Reject an unsafe request that may come from another site.

    The browser must indicate that the request comes from one of this application's pages, or from a front end
    that is listed in CORS_ORIGINS and runs on another host within the same site. Browsers do so in the
    `Sec-Fetch-Site` header, which pages cannot change. Older browsers send only `Origin`, which is compared
    with BASE_URL. A request with neither header is rejected, so non-browser clients that use the cookie must
    send `Origin`. Only browsers know which hosts belong to the same site (they use the public suffix list),
    so a front end's request must have `Sec-Fetch-Site: same-site`. A request from another site is rejected
    even if the site is listed in CORS_ORIGINS.

    Raises:
        CrossSiteRequest: the request may have come from another site.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    settings = services_of_request(request).settings
    ours, origin = origin_of(settings.base_url), request.headers.get("origin")
    is_front_end = site == "same-site" and origin in settings.cors_origins
    if not (site == "same-origin" or is_front_end or (site is None and origin == ours)):
        sentence = _(
            "Cross-site request rejected. Requests authenticated by a cookie must come from pages of this"
            " application. Clients other than browsers must send the header Origin: {origin}"
        )
        raise CrossSiteRequest(403, sentence.format(origin=ours), code="cross_site_request")
