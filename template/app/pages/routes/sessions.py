"""The user's sessions, and the account's history."""

from typing import Annotated

import msgspec
from hawkapi import Depends, Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.events import sentence_of
from app.pages.forms import SessionForm
from app.pages.navigation import RecentlySignedIn, SignedIn, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.audit import events_of
from app.users.dependencies import StillLoggedIn
from app.users.schemas import exported_event, public_session
from app.users.sessions import LISTED
from app.web import FromForm, query
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()

PAGE_SIZE = 25


class ActivityQuery(msgspec.Struct):
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


@router.get("/account/sessions")
async def sessions_page(login: SignedIn, request: Request, users: Users, db: Db) -> Response:
    found = await users.sessions.listed(db, login.user, current=login.session)
    sessions = [public_session(row, login.session) for row in found]
    # List the current session first.
    sessions.sort(key=lambda session: not session.is_current)
    return html_page(request, "sessions.html", sessions=sessions, has_more=len(sessions) >= LISTED)


@router.post("/account/sessions")
async def end_sessions(
    login: RecentlySignedIn,
    request: Request,
    form: Annotated[SessionForm, FromForm()],
    still: StillLoggedIn,
    users: Users,
    db: Db,
) -> Response:
    """End the chosen session, or all sessions except this one."""
    if form.others:
        await users.end_sessions(db, login.user, except_session=login.session)
        return redirect(request, "/account/sessions", message="sessions_ended")
    await users.end_session(db, login.user, form.session)
    return redirect(request, "/account/sessions", message="session_ended")


@router.get("/account/activity")
async def activity_page(
    login: SignedIn, request: Request, page: Annotated[ActivityQuery, Depends(query(ActivityQuery))], db: Db
) -> Response:
    """The account's audit log, newest first."""
    found = await events_of(db, login.user.id, before=page.before, limit=PAGE_SIZE + 1)
    shown = [exported_event(row) for row in found[:PAGE_SIZE]]
    return html_page(
        request,
        "activity.html",
        events=[(event, sentence_of(event)) for event in shown],
        next=shown[-1].id if len(found) > PAGE_SIZE else None,
        is_first=page.before is None,
    )
