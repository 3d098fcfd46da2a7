"""The last step of every page that logs a user in, whatever the method."""

from hawkapi import Request
from hawkapi.responses.response import Response

from app.pages.navigation import own_path, redirect, with_next
from app.users import UserManager
from app.users.cookies import give_cookie, give_login_key, remember_browser
from app.users.exceptions import SecondFactorRequired
from app.users.sessions import IssuedSession


def enter(request: Request, users: UserManager, issued: IssuedSession, next: str) -> Response:
    """Set the new session's cookie and redirect to *next*."""
    give_cookie(request, issued)
    remember_browser(request, users, issued.user)
    return redirect(request, own_path(next), message="logged_in")


def ask_for_factor(request: Request, required: SecondFactorRequired, next: str) -> Response:
    """Redirect to the second factor page of the feature that set `UserManager.second_factors`."""
    give_login_key(request, required.ticket, required.browser_key)
    return redirect(request, with_next("/login/second-factor", next))
