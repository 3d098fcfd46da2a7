"""The mailbox at `/dev/mailbox` and the e-mail previews at `/dev/mails`, in development only."""

import re
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from hawkapi import Depends, Request
from hawkapi.responses.json_response import JSONResponse
from hawkapi.responses.response import Response
from hawkapi_mail import EmailMessage

from app.database import Db
from app.mail import mailbox
from app.mail.outbox import DEAD, PENDING
from app.pages.mail_previews import preview, previews
from app.pages.navigation import Visitor, redirect
from app.pages.routing import PageRouter
from app.web import Problem, SmallInt, needs
from app.web.access_log import leave_out
from app.web.framework.application import services_of_request
from app.web.html import html_page
from app.web.middleware import host_name

router = PageRouter(prefix="/dev")

_FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""The policy for HTML e-mails: no scripts, no forms, no origin and no external resources. Inline styles
are allowed."""
_LINK = re.compile(r"(https?://[^\s<>\"]+)")


class Entry(NamedTuple):
    """An entry in the list of e-mails."""

    url: str
    subject: str
    to: str
    sent_at: datetime | None = None


@needs("a development server")
def _developer(request: Request) -> None:
    """Reject host names that another site could point at this machine (DNS rebinding), because e-mails
    contain secrets.

    Raises:
        Problem: the host is rejected (403).
    """
    host = host_name(request.headers.get("host") or "")
    own = urlsplit(services_of_request(request).settings.base_url).hostname
    if host not in (own, "localhost") and not host.endswith(".localhost") and not _is_address(host):
        raise Problem(403, "Open the mailbox at BASE_URL, at localhost or at an IP address.")


Developer = Annotated[None, Depends(_developer)]
"""A guard for pages that only the application's developers can see."""


@router.get("/mailbox")
async def mailbox_page(developer: Developer, visitor: Visitor, request: Request, db: Db) -> Response:
    """All e-mails, with the newest one open."""
    return await _mailbox(request, db, None, shown="html")


@router.get("/mailbox/newest")
async def newest_mail(developer: Developer, request: Request, db: Db) -> JSONResponse:
    """The id of the newest e-mail. The mailbox page requests it every two seconds to detect new e-mails."""
    leave_out(request)
    return JSONResponse({"id": await mailbox.newest_id(db)})


@router.get("/mailbox/{mail_id}")
async def mail_page(
    developer: Developer, visitor: Visitor, request: Request, db: Db, mail_id: SmallInt, show: str = "html"
) -> Response:
    """One e-mail, as HTML, text or source."""
    return await _mailbox(request, db, await _sent_mail(db, mail_id), shown=show)


@router.get("/mailbox/{mail_id}/html")
async def mail_as_html(developer: Developer, request: Request, db: Db, mail_id: SmallInt) -> Response:
    return _frame(request, (await _sent_mail(db, mail_id)).message)


@router.post("/mailbox/delete")
async def delete_all(developer: Developer, request: Request, db: Db) -> Response:
    await mailbox.empty(db)
    return redirect(request, "/dev/mailbox", message="mailbox_emptied")


@router.get("/mails")
async def previews_page(developer: Developer, visitor: Visitor, request: Request) -> Response:
    """Every e-mail that the application can send, with sample data."""
    return await _previews(request, next(iter(previews())), shown="html", is_list=True)


@router.get("/mails/{name}")
async def preview_page(
    developer: Developer, visitor: Visitor, request: Request, name: str, show: str = "html"
) -> Response:
    return await _previews(request, name, shown=show)


@router.get("/mails/{name}/html")
async def preview_as_html(developer: Developer, request: Request, name: str) -> Response:
    return _frame(request, await _preview(request, name))


async def _sent_mail(db: Db, mail_id: int) -> mailbox.SentMail:
    mail = await mailbox.sent_mail(db, mail_id)
    if mail is None:
        raise Problem(404, "The mailbox does not contain this e-mail.")
    return mail


async def _preview(request: Request, name: str) -> EmailMessage:
    if name not in previews():
        raise Problem(404, "There is no preview with this name. Add one in app/pages/mail_previews.py.")
    return await preview(services_of_request(request), name)


async def _mailbox(request: Request, db: Db, opened: mailbox.SentMail | None, *, shown: str) -> Response:
    """The list of e-mails, with *opened* beside it. If *opened* is None, the newest e-mail is shown."""
    # Read the newest id before the list, so that the script still detects an e-mail that arrives in between.
    newest = await mailbox.newest_id(db)
    mails = await mailbox.sent_mails(db)
    mail = opened or (mails[0] if mails else None)
    entries = [
        Entry(f"/dev/mailbox/{each.id}", each.message.subject, ", ".join(each.message.to), each.sent_at)
        for each in mails
    ]
    return html_page(
        request,
        "mailbox.html",
        headers=_with_frame(request),
        entries=entries,
        newest=newest,
        waiting=await mailbox.unsent(db, PENDING),
        dead=await mailbox.unsent(db, DEAD),
        is_list=opened is None,
        url=f"/dev/mailbox/{mail.id}" if mail is not None else "",
        **_parts(mail.message if mail is not None else None, shown),
    )


async def _previews(request: Request, name: str, *, shown: str, is_list: bool = False) -> Response:
    message = await _preview(request, name)
    entries = [
        Entry(f"/dev/mails/{each}", (await _preview(request, each)).subject, each) for each in previews()
    ]
    return html_page(
        request,
        "mail_previews.html",
        headers=_with_frame(request),
        entries=entries,
        is_list=is_list,
        url=f"/dev/mails/{name}",
        **_parts(message, shown),
    )


def _parts(message: EmailMessage | None, shown: str) -> dict[str, Any]:
    """The parts of *message* that the templates show."""
    if message is None:
        return {"mail": None, "shown": "", "text": [], "source": ""}
    is_text = shown == "text" or not message.html_body
    return {
        "mail": message,
        "shown": "source" if shown == "source" else "text" if is_text else "html",
        # Every other part is a link.
        "text": _LINK.split(message.text_body),
        "source": message.to_mime().decode("utf-8", "replace").replace("\r\n", "\n"),
    }


def _with_frame(request: Request) -> dict[str, str]:
    """The headers for a page that shows an e-mail in a frame. No other page may contain a frame."""
    policy = services_of_request(request).html.policy("frame-src 'self';")
    return {"Content-Security-Policy": policy}


def _frame(request: Request, message: EmailMessage) -> Response:
    headers = {"Content-Security-Policy": _FRAME_POLICY}
    return html_page(request, "mail_frame.html", headers=headers, html=message.html_body)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
