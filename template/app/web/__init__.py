"""HTTP helpers for routes. Template-owned, so that updates can fix HawkAPI's bugs."""

from app.web import docs, health
from app.web.cookies import delete_cookie, set_cookie
from app.web.downloads import attachment
from app.web.framework.application import App
from app.web.framework.openapi_metadata import needs, responds, secured_by
from app.web.framework.parameters import FromForm, SmallInt, query
from app.web.framework.uploads import ContentTypes, FromMultipart, Upload
from app.web.problems import FieldError, Problem, invalid

__all__ = [
    "App",
    "ContentTypes",
    "FieldError",
    "FromForm",
    "FromMultipart",
    "Problem",
    "SmallInt",
    "Upload",
    "attachment",
    "delete_cookie",
    "install",
    "invalid",
    "needs",
    "query",
    "responds",
    "secured_by",
    "set_cookie",
]


def install(app: App) -> None:
    """Add the health routes and, if DOCS_ENABLED is true, the documentation."""
    app.include_router(health.router)
    if app.state.settings.docs_enabled:
        docs.install(app)
