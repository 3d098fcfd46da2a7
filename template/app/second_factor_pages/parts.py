"""What a factor adds to the pages: the form that asks for it, and its section on the page of one's own
factors.

A factor adds itself in the `install` of its pages, with a label that is marked by `N_`:

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
    """For a section that needs only what the page has."""
    return {}


@dataclass(frozen=True)
class Part:
    """The part of one factor. The templates are paths in the folders of `app.state.html`."""

    name: str
    """`Factor.name`: how the audit log names the factor."""
    label: str
    """What people call it, marked by `N_`."""
    method: str
    """`Factor.method`: the field of the form that has the answer."""
    ask: str
    """The template with the form that asks for it, at the login and to confirm. It has `action`, which takes
    the form, `next`, which the form sends, `button`, which is the sentence on its button, and `errors`."""
    section: str
    """The template with its section on the page of one's own factors. It has `account`, `names`, those of its
    factors, and the values of *values_of*."""
    values_of: ValuesOf = no_values
    """Further values of the section, for example a list of items. All sections share them, so name them after
    the factor."""


def install(app: App) -> None:
    """Begin without parts."""
    app.state.html.globals["factor_parts"] = []


def add(app: App, part: Part) -> None:
    """Show *part* on the pages."""
    parts_of(app.state.html).append(part)


def parts_of(html: HtmlPages) -> list[Part]:
    """The parts of all factors, in the order in which pages show them."""
    return html.globals["factor_parts"]


def label_of(html: HtmlPages, factor: str) -> str:
    """What people call *factor*, such as `totp`. One without a part keeps its own name."""
    labels = {part.name: part.label for part in parts_of(html)}
    return translated(labels.get(factor, factor))


async def values_of_all(html: HtmlPages, request: Request, db: AsyncSession, user: User) -> dict[str, Any]:
    """What the sections of all factors need to show those of *user*."""
    values: dict[str, Any] = {}
    for part in parts_of(html):
        values |= await part.values_of(request, db, user)
    return values
