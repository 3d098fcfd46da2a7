"""E-mails about an account. Their text is in the files in `emails/`, which you may change freely.

An e-mail is in the language that the user has set, or else in the language of the request.

All HTML e-mails extend `emails/layout.html`. A feature keeps its templates in its own `emails` folder. During
development, `/dev/mails` shows every e-mail.

`send_verification_email` and `send_password_reset_email` accept your own renderer, template names, subject
and context, and any mailer. HawkAPI's mailer sends the e-mail immediately. The mailer from
`app.mail.Mailer.for_session(...)` puts the e-mail into the outbox, to be sent after the transaction is
committed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, wraps
from pathlib import Path
from typing import Any, Protocol, cast

from babel.units import format_unit
from hawkapi_mail import EmailMessage, TemplateRenderer
from jinja2 import FileSystemLoader
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, i18n
from app.database import actor_of, client_of_session, services_of, services_of_session, session_of
from app.i18n import N_
from app.i18n import gettext as _
from app.users.models import User
from app.users.user_agents import UNKNOWN, browser_of
from app.web.client_ip import Client

# Your own imports go below; template updates never touch them.
# isort: split

_TEMPLATES = Path(__file__).parent / "emails"
_APP = Path(__file__).parent.parent


class Sender(Protocol):
    """The part of a mailer that this module needs."""

    default_sender: str

    async def send(self, message: EmailMessage) -> Any: ...


@cache
def default_renderer() -> TemplateRenderer:
    """A renderer for the files in `app/users/emails/` and in each feature's `emails` folder. Values in
    .html files are escaped."""
    renderer = TemplateRenderer()
    renderer.env.loader = FileSystemLoader([_TEMPLATES, *sorted(_APP.glob("*/emails"))])
    i18n.translate_templates(renderer.env)
    return renderer


RESET_REQUIRED = N_(
    "An administrator requires you to set a new password. You cannot log in with your current password until"
    " you have set a new one."
)
"""Extra text in reset e-mails to owners who must set a new password."""


def in_language_of_user[Mail: Callable[..., Awaitable[None]]](mail: Mail) -> Mail:
    """Decorate *mail* to run in the language that the user (its first argument) has set."""

    @wraps(mail)
    async def translated(user: User, *args: Any, **kwargs: Any) -> None:
        with i18n.using(i18n.chosen_language()):
            i18n.use(user.language)
            await mail(user, *args, **kwargs)

    return cast(Mail, translated)


# Called by the hooks and the manager


@in_language_of_user
async def mail_verification(user: User, token: str) -> None:
    """Queue an e-mail that asks *user* to verify their address."""
    services = services_of(user)
    settings = services.settings
    await send_verification_email(
        services.mail.for_session(session_of(user), user_id=user.id, lifetime=settings.verify_ttl),
        to=user.email,
        token=token,
        verify_url_template=settings.verify_url,
        subject=_("Confirm your e-mail address for {app_name}").format(app_name=settings.app_name),
        context={"lifetime": in_words(settings.verify_ttl), **_common(session_of(user), user.id)},
    )


@in_language_of_user
async def mail_password_reset(user: User, token: str) -> None:
    """Queue an e-mail with a link to set a new password."""
    services = services_of(user)
    settings = services.settings
    await send_password_reset_email(
        services.mail.for_session(session_of(user), user_id=user.id, lifetime=settings.reset_ttl),
        to=user.email,
        token=token,
        reset_url_template=settings.reset_url,
        subject=_("Set a new password for {app_name}").format(app_name=settings.app_name),
        context={
            "lifetime": in_words(settings.reset_ttl),
            "reason": _(RESET_REQUIRED) if user.must_reset_password else "",
            **_common(session_of(user), user.id),
        },
    )


@in_language_of_user
async def mail_email_change(user: User, new_email: str, token: str) -> None:
    """Queue an e-mail with a link that makes *new_email* the account's address."""
    services = services_of(user)
    settings = services.settings
    values = {
        "email_change_url": _link(settings.email_change_url, token),
        "lifetime": in_words(settings.email_change_ttl),
        **_common(session_of(user), user.id),
    }
    # Do not pass user_id: an export lists the user's e-mails, so a missing one would reveal that the address
    # is taken (CWE-204).
    mailer = services.mail.for_session(session_of(user), lifetime=settings.email_change_ttl)
    subject = _("Confirm your new e-mail address for {app_name}").format(app_name=settings.app_name)
    await _send(mailer, new_email, subject, "email_change.html", values)


async def mail_invitation(db: AsyncSession, email: str, token: str) -> None:
    """Queue an e-mail with a link to create an account for *email*."""
    services = services_of_session(db)
    settings = services.settings
    values = {
        "invitation_url": _link(settings.invitation_url, token),
        "lifetime": in_words(settings.invitation_ttl),
        **_common(db),
    }
    mailer = services.mail.for_session(db, lifetime=settings.invitation_ttl)
    subject = _("You are invited to {app_name}").format(app_name=settings.app_name)
    await _send(mailer, email, subject, "invitation.html", values)


@dataclass(frozen=True)
class Notice:
    """The text of a security notice to an account's owner."""

    heading: str
    sentence: str
    advice: str = N_(
        "If this was not you, request a link and set a new password now. This logs everyone else out."
    )


NOTICES = {
    "already_registered": Notice(
        N_("You already have an account"),
        N_(
            "Someone, perhaps you, tried to create an account with this e-mail address, which already has"
            " one."
        ),
        N_(
            "You can log in to your existing account. If you do not know its password, request a link to set"
            " a new one. If this was not you, ignore this e-mail: nothing has changed."
        ),
    ),
    "password_changed": Notice(N_("Your password was changed"), N_("Your account's password was changed.")),
    "new_sign_in": Notice(
        N_("New login"),
        N_("Someone logged in to your account with a browser that you have not used before."),
    ),
    "login_locked": Notice(
        N_("Your account is locked"),
        N_(
            "A wrong password was entered 100 times in a row. Until you set a new password, you can log in"
            " only with a browser that you have used before."
        ),
        N_("Request a link to set a new password. A new password unlocks the account."),
    ),
    "session_reuse": Notice(
        N_("A session was ended"),
        N_("We ended one of your sessions because its token was used twice. Someone may have copied it."),
    ),
    "session_limit": Notice(
        N_("Too many sessions"),
        N_(
            "Your account has reached its maximum number of sessions. A new login ended the least recently"
            " used session."
        ),
    ),
    "email_change_requested": Notice(
        N_("A new e-mail address was requested"),
        N_(
            "Someone who is logged in to your account asked to change its e-mail address. Nothing has"
            " changed yet."
        ),
    ),
    "email_changed": Notice(
        N_("Your e-mail address was changed"),
        N_(
            "Your account now has a different e-mail address. We no longer send e-mails about it to this"
            " address."
        ),
        N_("If this was not you, contact us."),
    ),
    "deletion_scheduled": Notice(
        N_("Your account will be deleted"),
        N_("Your account is closed. It will be deleted permanently when its grace period ends."),
        N_("Log in before then to keep it."),
    ),
    "account_deleted": Notice(
        N_("Your account was deleted"),
        N_("Your account and its data were deleted."),
        N_("If this was not you, contact us."),
    ),
}
"""The security notices, keyed by event. You may reword them. The text around them is in `emails/`."""

_OUTLIVE_THE_ACCOUNT = {"account_deleted", "email_changed"}
"""Notices that are sent even if the account has been deleted. Otherwise, a thief could change the address and
delete the account before the owner is notified."""
NOTICES_OF_FEATURES: dict[str, Notice] = {}
"""Security notices from features. Each feature adds its own notices when it is imported."""


@in_language_of_user
async def mail_notice(user: User, notice: str, *, to: str | None = None) -> None:
    """Queue a security notice that tells *user* what happened, when and from where."""
    db = session_of(user)
    services, client, text = services_of(user), client_of_session(db), (NOTICES | NOTICES_OF_FEATURES)[notice]
    if actor_of(db).id not in ("", user.id):
        # Someone else acted. If it was a superuser, the owner must not learn their IP address or browser.
        client = Client()
    heading = _(text.heading)
    values = {
        **_common(db),
        "heading": heading,
        "sentence": _(text.sentence),
        "advice": _(text.advice),
        "account": to or user.email,
        "time": _in_utc(clock.now()),
        "ip_address": client.ip_address,
        "browser": browser_of(client.user_agent),
    }
    if notice == "deletion_scheduled" and user.delete_after is not None:
        values["advice"] = _("Log in before {time} to keep it.").format(time=_in_utc(user.delete_after))
    user_id = None if notice in _OUTLIVE_THE_ACCOUNT else user.id
    mailer = services.mail.for_session(db, user_id=user_id)
    subject = f"{services.settings.app_name}: {heading}"
    await _send(mailer, to or user.email, subject, "notice.html", values)


async def mail_nobody(db: AsyncSession, token: str) -> None:
    """Do the same work as for a real e-mail, and add an outbox row that the worker discards.

    An unknown address must take as much work as a known one. Otherwise, response times would reveal which
    addresses have an account.
    """
    services = services_of_session(db)
    settings = services.settings
    await send_password_reset_email(
        services.mail.for_session(db, discard=True, lifetime=settings.reset_ttl),
        to="nobody@localhost",
        token=token,
        reset_url_template=settings.reset_url,
        subject=_("Set a new password for {app_name}").format(app_name=settings.app_name),
        context={"lifetime": in_words(settings.reset_ttl), **_common(db)},
    )


async def send_template(
    db: AsyncSession,
    to: str,
    subject: str,
    template: str,
    values: dict[str, Any],
    *,
    user_id: str | None = None,
    lifetime: float | None = None,
    discard: bool = False,
) -> None:
    """Queue an e-mail rendered from *template* and its text version. Use this in features and for your own
    e-mails.

    The template is in the feature's `emails` folder. It is rendered with *values* and the values that the
    layout uses. *user_id*, *lifetime*, *discard*: as in `app.mail.Mailer.for_session`.
    """
    mailer = services_of_session(db).mail.for_session(db, user_id=user_id, lifetime=lifetime, discard=discard)
    await _send(mailer, to, subject, template, _common(db, user_id or "") | values)


# Your own mails go below; template updates never touch them.


# Functions from hawkapi-users, under the same names


async def send_verification_email(
    mailer: Sender,
    *,
    to: str,
    token: str,
    verify_url_template: str,
    sender: str = "",
    subject: str = "Confirm your e-mail address",
    template: str = "verify.html",
    text_template: str = "verify.txt",
    renderer: TemplateRenderer | None = None,
    context: dict[str, Any] | None = None,
) -> None:
    """Send the verification link to the address *to*.

    Raises:
        ValueError: *verify_url_template* does not contain {token}.
    """
    link = _link(verify_url_template, token)
    values = {"verify_url": link, "app_name": "", "lifetime": "", **(context or {})}
    await _send(
        mailer, to, subject, template, values, text_template=text_template, sender=sender, renderer=renderer
    )


async def send_password_reset_email(
    mailer: Sender,
    *,
    to: str,
    token: str,
    reset_url_template: str,
    sender: str = "",
    subject: str = "Set a new password",
    template: str = "password_reset.html",
    text_template: str = "password_reset.txt",
    renderer: TemplateRenderer | None = None,
    context: dict[str, Any] | None = None,
) -> None:
    """Send the address *to* a link to set a new password.

    Raises:
        ValueError: *reset_url_template* does not contain {token}.
    """
    link = _link(reset_url_template, token)
    values = {"reset_url": link, "app_name": "", "lifetime": "", "reason": "", **(context or {})}
    await _send(
        mailer, to, subject, template, values, text_template=text_template, sender=sender, renderer=renderer
    )


def _common(db: AsyncSession, user_id: str = "") -> dict[str, Any]:
    """The values that the layout uses, plus the time and browser of the request that caused the e-mail.

    *user_id*: the account that the e-mail is about. The time and browser are empty if an administrator or a
    command caused the e-mail.
    """
    settings, client = services_of_session(db).settings, client_of_session(db)
    is_request = actor_of(db).id in ("", user_id) and client.ip_address
    browser = browser_of(client.user_agent)
    return {
        "language": i18n.current_language(),
        "app_name": settings.app_name,
        "brand_color": settings.brand_color,
        "support_email": settings.support_email,
        "time": _in_utc(clock.now()) if is_request else "",
        "browser": browser if is_request and browser != UNKNOWN else "",
    }


def _in_utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def in_words(seconds: int) -> str:
    """*seconds* in words: 3600 becomes "1 hour"."""
    units = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
    unit = next((unit for unit, size in units.items() if seconds >= size and seconds % size == 0), "second")
    return format_unit(seconds // units[unit], f"duration-{unit}", locale=i18n.current_language())


def _link(template: str, token: str) -> str:
    if "{token}" not in template:
        raise ValueError("A link's URL must contain {token} as a placeholder for the token: " + template)
    return template.replace("{token}", token)


async def _send(
    mailer: Sender,
    to: str,
    subject: str,
    template: str,
    values: dict[str, Any],
    *,
    text_template: str = "",
    sender: str = "",
    renderer: TemplateRenderer | None = None,
) -> None:
    """Render *template* and its text version, by default the .txt file with the same name, and send both to
    *to*."""
    renderer = renderer or default_renderer()
    text_template = text_template or template.removesuffix(".html") + ".txt"
    await mailer.send(
        EmailMessage.build(
            subject=subject,
            sender=sender or mailer.default_sender,
            to=to,
            text=await renderer.render_async(text_template, **values),
            html=await renderer.render_async(template, **values),
        )
    )
