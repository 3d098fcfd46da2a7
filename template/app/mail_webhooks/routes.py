"""The route that providers call. `webhooks.py` verifies the caller."""

import asyncio
from collections.abc import Mapping

import msgspec
from hawkapi import Depends, Request
from hawkapi.routing.router import Router

from app.database import Db
from app.i18n import gettext as _
from app.limits import limited
from app.mail_webhooks.bounces import mark
from app.mail_webhooks.webhooks import Webhook, WebhookRefused, WebhookUnavailable
from app.web import Problem, responds

RATE = "1200/m"
"""The limit for requests from one network. A provider may send one request for each e-mail."""


class Receipt(msgspec.Struct):
    status: str


def router_for(webhooks: Mapping[str, Webhook]) -> Router:
    """The route for these providers."""
    router = Router(prefix="/mail/webhooks", tags=["mail"])

    # 200, not 204: Mailgun resends an event after every status except 200 and 406.
    @router.post("/{provider}", status_code=200, dependencies=[Depends(limited(RATE))])
    @responds(
        {403: {WebhookRefused.code: "The provider did not sign the request, or signed it too long ago."}},
        {404: "No key is set for this provider."},
        {503: {WebhookUnavailable.code: "The signature's certificate cannot be fetched."}},
    )
    async def receive_mail_events(request: Request, provider: str, db: Db) -> Receipt:
        """Receive events from a mail provider

        The provider signs each request. Mailboxes that bounce permanently or whose owners complain receive no
        more e-mail.
        """
        webhook = webhooks.get(provider)
        if webhook is None:
            raise Problem(404, _("There is no webhook for this provider."))
        headers, body = dict(request.headers), await request.body()
        try:
            events = await webhook.events(headers, body)
        except WebhookRefused as error:
            raise Problem(403, str(error), code=error.code) from error
        except WebhookUnavailable as error:
            raise Problem(503, str(error), code=error.code) from error
        try:
            await mark(db, events)
            # Commit here, not at the end of the request: if the commit fails, the provider's next attempt
            # must be accepted.
            await db.commit()
        except BaseException:
            # Shielded because the request may have been cancelled.
            await asyncio.shield(webhook.accept_again(body))
            raise
        return Receipt("received")

    return router
