"""Mails about an account. Their texts are the files in `emails/`; change them freely.

`send_verification_email` and `send_password_reset_email` take a renderer, template names, a subject and a
context of your own, and any mailer: HawkAPI's own sends at once, `app.mail.Mailer.for_session(...)` puts the
mail into the outbox, from where it leaves after the transaction has been committed.
"""

from functools import cache
from pathlib import Path
from typing import Any, Protocol

from hawkapi_mail import EmailMessage, TemplateRenderer
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import services_of, session_of
from app.users.models import User

_TEMPLATES = Path(__file__).parent / "emails"


class Sender(Protocol):
    """What is needed of a mailer."""

    default_sender: str

    async def send(self, message: EmailMessage) -> Any: ...


@cache
def default_renderer() -> TemplateRenderer:
    """Renders the files in `app/users/emails/`. What ends in .html is escaped."""
    return TemplateRenderer(directory=_TEMPLATES)


# What the hooks call


async def mail_verification(user: User, token: str) -> None:
    """Put the mail that asks *user* to verify the address into the outbox."""
    services = services_of(user)
    settings = services.settings
    await send_verification_email(
        services.mail.for_session(session_of(user)),
        to=user.email,
        token=token,
        verify_url_template=settings.verify_url,
        subject=f"Confirm your e-mail address for {settings.app_name}",
        context={"app_name": settings.app_name, "lifetime": in_words(settings.verify_ttl)},
    )


async def mail_password_reset(user: User, token: str) -> None:
    """Put the mail with the link that sets a new password into the outbox."""
    services = services_of(user)
    settings = services.settings
    await send_password_reset_email(
        services.mail.for_session(session_of(user)),
        to=user.email,
        token=token,
        reset_url_template=settings.reset_url,
        subject=f"Set a new password for {settings.app_name}",
        context={"app_name": settings.app_name, "lifetime": in_words(settings.reset_ttl)},
    )


async def mail_nobody(session: AsyncSession, token: str) -> None:
    """The work of a mail, and a row in the outbox that the worker throws away.

    An unknown address must cost what a known one costs, or the time of the answer tells them apart.
    """
    services = session.info["services"]
    settings = services.settings
    await send_password_reset_email(
        services.mail.for_session(session, discard=True),
        to="nobody@localhost",
        token=token,
        reset_url_template=settings.reset_url,
        context={"app_name": settings.app_name, "lifetime": in_words(settings.reset_ttl)},
    )


# The names of hawkapi-users


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
    """Send the link that verifies the address *to*.

    Raises:
        ValueError: *verify_url_template* has no place for the token.
    """
    link = _link(verify_url_template, token)
    values = {"verify_url": link, "app_name": "", "lifetime": "", **(context or {})}
    await _send(mailer, to, sender, subject, template, text_template, renderer, values)


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
    """Send the link that sets a new password for the account of *to*.

    Raises:
        ValueError: *reset_url_template* has no place for the token.
    """
    link = _link(reset_url_template, token)
    values = {"reset_url": link, "app_name": "", "lifetime": "", **(context or {})}
    await _send(mailer, to, sender, subject, template, text_template, renderer, values)


def in_words(seconds: int) -> str:
    """A lifetime as people say it: 3600 is "1 hour"."""
    units = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
    unit = next((unit for unit, size in units.items() if seconds >= size and seconds % size == 0), "second")
    count = seconds // units[unit]
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _link(template: str, token: str) -> str:
    if "{token}" not in template:
        raise ValueError("The address of a link needs {token} where the token goes: " + template)
    return template.replace("{token}", token)


async def _send(
    mailer: Sender,
    to: str,
    sender: str,
    subject: str,
    template: str,
    text_template: str,
    renderer: TemplateRenderer | None,
    values: dict[str, Any],
) -> None:
    renderer = renderer or default_renderer()
    await mailer.send(
        EmailMessage.build(
            subject=subject,
            sender=sender or mailer.default_sender,
            to=to,
            text=await renderer.render_async(text_template, **values),
            html=await renderer.render_async(template, **values),
        )
    )
