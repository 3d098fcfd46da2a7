"""The logged-in user's account: overview, data export and deletion."""

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db, services_of_session
from app.pages.forms import REFUSALS, ProfileForm, problem_of
from app.pages.navigation import RecentlySignedIn, SignedIn, redirect
from app.pages.routing import PageRouter
from app.users import UserManager, Users, record
from app.users.cookies import keeping_browser_known, take_cookie
from app.users.dependencies import Login, limited_by
from app.users.export import everything_about
from app.web.html import html_page
from app.web.streaming import JSONStream

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/account")
async def account_page(login: SignedIn, request: Request, users: Users, db: Db) -> Response:
    return html_page(
        request,
        "account.html",
        account=login.user,
        sessions=await users.sessions.count(db, login.user),
        has_profile=bool(ProfileForm.__struct_fields__),
    )


@router.get("/account/export")
async def export_page(login: RecentlySignedIn, request: Request) -> Response:
    return html_page(request, "export.html")


@router.post("/account/export", dependencies=[limited_by("export")])
async def export(login: RecentlySignedIn, request: Request, db: Db) -> JSONStream:
    """A file with everything that is stored about the user."""
    record(db, "export", login.user.id)
    everything = everything_about(services_of_session(db), login.user)
    return JSONStream(everything, {"Content-Disposition": 'attachment; filename="account.json"'})


@router.get("/account/delete")
async def deletion_page(login: RecentlySignedIn, request: Request, users: Users) -> Response:
    return _deletion_page(request, login, users)


@router.post("/account/delete")
async def delete(login: RecentlySignedIn, request: Request, users: Users, db: Db) -> Response:
    """Delete the account, or mark it for deletion if DELETION_GRACE_DAYS is set."""
    try:
        with keeping_browser_known(request, users, login.user):
            await users.request_delete(db, login.user)
    except REFUSALS as error:
        return _deletion_page(request, login, users, problem_of(error)[1])
    take_cookie(request)
    return redirect(request, "/", message="deletion_scheduled" if users.deletion_grace else "account_deleted")


def _deletion_page(request: Request, login: Login, users: UserManager, problem: str = "") -> Response:
    return html_page(
        request,
        "delete.html",
        status=409 if problem else 200,
        account=login.user,
        days=users.deletion_grace.days,
        problem=problem,
    )
