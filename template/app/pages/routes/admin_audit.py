"""The audit log, for superusers."""

from typing import Annotated

import msgspec
from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.pages.events import name_of
from app.pages.navigation import Administrator, first_page, next_page, previous_page
from app.pages.routing import PageRouter
from app.users import Users
from app.users.audit import events_of
from app.users.manager import UserManager
from app.users.routes.admin import find_events
from app.users.schemas import EventQuery
from app.web import query
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


class AuditFilters(msgspec.Struct):
    """The query parameters of the page."""

    account: Annotated[str, msgspec.Meta(max_length=320)] = ""
    """An e-mail address, or the id of an account, even a deleted one."""
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


@router.get("/admin/audit")
async def audit_page(
    admin: Administrator,
    request: Request,
    filters: Annotated[AuditFilters, Depends(query(AuditFilters, from_form=True))],
    users: Users,
    db: Db,
) -> Response:
    """The events for all accounts or for one account, newest first."""
    user_id = await _id_of(filters.account.strip(), users, db)
    place = EventQuery(user_id=user_id, before=filters.before)
    page = await find_events(place, db)
    ids = [each for event in page.items for each in (event.actor, event.user_id) if each]
    return html_page(
        request,
        "admin/audit.html",
        filters=filters,
        events=[(event, name_of(event)) for event in page.items],
        emails=await users.emails_by_id(db, ids),
        first_page=first_page(request, "before"),
        next_page=next_page(request, before=page.next),
        previous_page=previous_page(request, before=await _start_of_previous(place, db)),
    )


async def _start_of_previous(page: EventQuery, db: AsyncSession) -> int | None:
    """The `before` cursor that requests the page preceding *page*. None if *page* or the preceding page is
    the first."""
    if page.before is None:
        return None
    newer = await events_of(db, page.user_id, since=page.before, limit=page.limit + 1)
    return newer[-1].id if len(newer) > page.limit else None


async def _id_of(account: str, users: UserManager, db: AsyncSession) -> str | None:
    """The account id to filter by. None for all accounts, empty if no account has the address."""
    if "@" not in account:
        return account or None
    user = await users.get_by_email(db, account)
    return "" if user is None else user.id
