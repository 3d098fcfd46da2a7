"""Lets each factor add its own form for answers, and its own section on the user's factors page.

A factor's pages add their part in `install` and mark its label with `N_`:

    parts.add(app, parts.Part("totp", N_("Authenticator app"), "code", "totp/ask.html", "totp/section.html"))
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hawkapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.i18n import gettext as translated
from app.users import User
from app.web import App
from app.web.html import HtmlPages

type ValuesOf = Callable[[Request, AsyncSession, User], Awaitable[dict[str, Any]]]


async def no_values(request: Request, db: AsyncSession, user: User) -> dict[str, Any]:
    """Return no additional values, for a section that needs only the page's own values."""
    return {}


@dataclass(frozen=True)
class Part:
    """A factor's additions to the pages. Template paths are relative to the folders of `app.state.html`."""

    name: str
    """`Factor.name`: the factor's name in the audit log."""
    label: str
    """The name that users see, marked with `N_`."""
    method: str
    """`Factor.method`: the form field with the answer."""
    ask: str
    """The template of the form that asks for the factor, both at login and when confirming a login. Its
    variables are `action` (the URL to submit the form to), `next` (which the form submits), `button` (the
    button's text) and `errors`."""
    section: str
    """The template of the factor's section on the user's factors page. Its variables are `account`, `names`
    (the names of the account's factors) and those from *values_of*."""
    values_of: ValuesOf = no_values
    """Additional variables for the section, such as a list of items. All sections share these variables, so
    name them after the factor."""


def install(app: App) -> None:
    """Start with no parts."""
    app.state.html.globals["factor_parts"] = []


def add(app: App, part: Part) -> None:
    """Show *part* on the pages."""
    parts_of(app.state.html).append(part)


def parts_of(html: HtmlPages) -> list[Part]:
    """The parts of all factors, in the order in which pages show them."""
    return html.globals["factor_parts"]


def label_of(html: HtmlPages, factor: str) -> str:
    """The name that users see for *factor*, such as `totp`.

    Returns *factor* unchanged if no part is defined for it.
    """
    labels = {part.name: part.label for part in parts_of(html)}
    return translated(labels.get(factor, factor))


async def values_of_all(html: HtmlPages, request: Request, db: AsyncSession, user: User) -> dict[str, Any]:
    """The variables that all factors' sections need for *user*."""
    values: dict[str, Any] = {}
    for part in parts_of(html):
        values |= await part.values_of(request, db, user)
    return values
