"""A mailbox that bounces or whose owner complains is marked and receives no e-mail until the mark is cleared.

Mail providers' webhooks report such mailboxes, and an SMTP server reports mailboxes that do not exist.

Start reading in `bounces.py`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database import session_of
from app.limits import Limiter
from app.mail.suppression import ON_MISSING, SUPPRESSIONS
from app.mail_webhooks.administration import router as administration
from app.mail_webhooks.bounces import NotMarked, clear, mark_missing, marked_among, remove_old
from app.mail_webhooks.mailgun import MailgunWebhook
from app.mail_webhooks.resend import ResendWebhook
from app.mail_webhooks.routes import router_for
from app.mail_webhooks.sendgrid import SendGridWebhook
from app.mail_webhooks.ses import SESWebhook
from app.mail_webhooks.webhooks import Webhook
from app.settings import Settings, SettingsError
from app.tasks import PeriodicTask
from app.users import User
from app.web import App, Problem

REQUIRES = ("limits", "users")
"""Features that are installed before this one."""

_PROOFS = ("on_after_verify", "on_after_reset_password", "on_after_change_email")
"""The hooks that run after an e-mailed link is used. Its use proves that the mailbox receives e-mail."""

SUPPRESSIONS.append(marked_among)
ON_MISSING.append(mark_missing)


def install(app: App) -> None:
    """Add the routes, and unmark a mailbox when a link that was e-mailed to it is used.

    Raises:
        SettingsError: a key is malformed.
    """
    try:
        webhooks = build_webhooks(app.state.settings, app.state.limiter)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    app.tag_descriptions["mail"] = "Reports from mail providers about your e-mails."
    app.include_router(router_for(webhooks))
    for_superusers = Router(prefix=app.state.settings.users_prefix)
    for_superusers.include_router(administration)
    app.include_router(for_superusers)

    @app.exception_handler(NotMarked)
    async def not_marked(request: Request, error: NotMarked) -> Response:
        return Problem(404, str(error)).to_response()

    database = app.state.db

    async def remove_old_marks() -> None:
        async with database.session() as db:
            await remove_old(db)

    app.state.tasks.append(PeriodicTask("remove old marks of mailboxes", 3600.0, remove_old_marks))
    for name in _PROOFS:
        setattr(app.state.users, name, _then_clear(getattr(app.state.users, name)))


def build_webhooks(settings: Settings, limiter: Limiter) -> dict[str, Webhook]:
    """The webhooks of the providers whose keys are set.

    Raises:
        ValueError: a key is malformed. The message names the key.
    """
    webhooks: dict[str, Webhook] = {}
    if settings.ses_topic_arn:
        webhooks["ses"] = SESWebhook(settings.ses_topic_arn)
    if settings.sendgrid_webhook_key:
        webhooks["sendgrid"] = SendGridWebhook(settings.sendgrid_webhook_key)
    if key := settings.mailgun_webhook_key.get_secret_value():
        webhooks["mailgun"] = MailgunWebhook(key, limiter)
    if secret := settings.resend_webhook_secret.get_secret_value():
        webhooks["resend"] = ResendWebhook(secret)
    return webhooks


def _then_clear(hook: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def call(user: User, *details: Any) -> None:
        await hook(user, *details)
        await clear(session_of(user), user.email)

    return call
