"""Decides who can see a page, and where a form redirects.

A handler takes one of these guards as its first parameter. `Visitor` lets everyone in. `SignedIn` sends users
without a login to the login page, which then returns them to the original page. `RecentlySignedIn` also asks
for the password if the last check was too long ago. `Administrator` is for superusers only.
"""

import re
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from sqlalchemy import inspect

from app import i18n
from app.pages import messages
from app.users import User, Users
from app.users.dependencies import FoundLogin, Login, OptionalLogin, SetupRequired
from app.web import Problem, needs
from app.web.framework.application import services_of_request

_OWN_PATH = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]*")
"""A path as browsers send it: printable ASCII without backslashes, which some browsers treat as slashes."""
_USER = "app.pages.user"
FACTORS_PAGE = "/account/second-factors"
"""The page where users set up a required second factor."""


class Redirect(Problem):
    """Ends a request with a redirect (303): `raise Redirect("/login")`."""

    def __init__(self, path: str) -> None:
        super().__init__(303, headers={"Location": path})

    def to_response(self) -> Response:
        return Response(b"", status_code=303, headers=self.headers)


def redirect(
    request: Request, path: str, *, message: str = "", headers: dict[str, str] | None = None
) -> Response:
    """Redirect to *path* in this application and show *message* there. Use this after a successful form
    submission."""
    if message:
        messages.show_next(request, message)
    return Response(b"", status_code=303, headers={"Location": path} | (headers or {}))


def message_page(request: Request, message: str) -> Response:
    """Show *message* once, after the form that an e-mailed link opens has been submitted. Users who are not
    logged in see it on the login page."""
    return redirect(request, "/account", message=message)


def own_path(path: str, default: str = "/account") -> str:
    """*path* if it is a path on this site, otherwise *default*.

    Use it for every path that comes from a request: `//evil.example` and `/\\evil.example` send browsers to
    another site (CWE-601; ASVS 3.7.2).
    """
    return path if _OWN_PATH.fullmatch(path) else default


def with_next(page: str, path: str) -> str:
    """The URL of *page*, which afterwards redirects to *path* if *path* is on this site."""
    return f"{page}?{urlencode({'next': own_path(path)})}"


def next_page(request: Request, **position: object) -> str:
    """The path of a list's next page, which starts at *position* and keeps the filters. Empty if a value
    in *position* is None."""
    return "" if None in position.values() else _list_at(request, position)


def previous_page(request: Request, **position: object) -> str:
    """The path of a list's previous page, which starts at *position*, or at the beginning if the value in
    *position* is None. Empty on the first page."""
    return _list_at(request, position) if position.keys() & _query_of(request) else ""


def first_page(request: Request, position: str) -> str:
    """The path of the list's first page, with its filters. Empty on the first page."""
    return previous_page(request, **{position: None})


def _list_at(request: Request, position: dict[str, object]) -> str:
    query = {name: value for name, value in (_query_of(request) | position).items() if value is not None}
    return f"{request.path}?{urlencode(query)}" if query else request.path


def _query_of(request: Request) -> dict[str, object]:
    """The query parameters that have a value."""
    return dict(parse_qsl(request.query_string.decode("latin-1")))


async def _visitor(request: Request, login: OptionalLogin, found: FoundLogin) -> Login | None:
    # The page treats users who must first set up a second factor as not logged in, but the layout must let
    # them log out.
    user = found.user if isinstance(found, Login | SetupRequired) else None
    request.scope[_USER] = user and _copy_of(user)
    return login


def _copy_of(user: User) -> User:
    """A copy of *user* with the values that are currently loaded. A failed flush expires the row, but the
    error page's layout still needs it."""
    state = inspect(user)
    copy: User = state.mapper.class_manager.new_instance()
    vars(copy).update({name: value for name, value in vars(user).items() if name in state.mapper.attrs})
    return copy


Visitor = Annotated[Login | None, Depends(_visitor)]
"""The login, or None."""


@needs("a login")
async def _signed_in(request: Request, login: Visitor, found: FoundLogin) -> Login:
    if isinstance(found, SetupRequired):
        raise Redirect(FACTORS_PAGE)
    if login is None:
        raise Redirect(_with_return("/login", request))
    return login


SignedIn = Annotated[Login, Depends(_signed_in)]
"""Requires a login. Without one, the user sees the login page and then returns to this page."""


@needs("a recent login")
async def _recently_signed_in(request: Request, login: SignedIn, users: Users) -> Login:
    if not users.sessions.is_recent(login.session):
        raise Redirect(_with_return("/confirm", request))
    return login


RecentlySignedIn = Annotated[Login, Depends(_recently_signed_in)]
"""Requires a login with a recent password check. If there was none, a page asks for the password and then
sends the user back."""


@needs("a superuser")
async def _administrator(login: SignedIn) -> Login:
    if not login.user.is_superuser:
        raise Problem(403, "This page is for administrators only.", code="superusers_only")
    return login


Administrator = Annotated[Login, Depends(_administrator)]
"""Requires a superuser's login. Other users get a 403."""


async def _recent_administrator(login: Administrator, recent: RecentlySignedIn) -> Login:
    return recent


RecentAdministrator = Annotated[Login, Depends(_recent_administrator)]
"""Requires a superuser who has recently logged in or confirmed the password."""


def _with_return(page: str, request: Request) -> str:
    """The URL of *page*, with the path to return to. After a form submission, that path is the form's page,
    because the form is not submitted again."""
    path = _with_query(request) if request.method == "GET" else request.path
    return f"{page}?{urlencode({'next': path})}"


def _here(request: Request) -> str:
    """The page that the language form returns to: this page, unless its path contains the token from an
    e-mailed link. The query string can be kept, because no page accepts a secret in it."""
    if request.method != "GET" or "token" in request.path_params:
        return "/"
    return own_path(_with_query(request), request.path)


def _with_query(request: Request) -> str:
    query = request.query_string.decode("latin-1")
    return f"{request.path}?{query}" if query else request.path


def context(request: Request) -> dict[str, Any]:
    """The values that the layout needs, such as the user and the application's name."""
    services = services_of_request(request)
    settings = services.settings
    return {
        "user": request.scope.get(_USER),
        "path": request.path,
        "in_development": settings.environment == "development",
        "docs_enabled": settings.docs_enabled,
        "logo_url": settings.logo_url,
        "registration": settings.registration,
        "must_verify": services.users.must_verify,
        "here": _here(request),
        "languages": i18n.names(),
    }
