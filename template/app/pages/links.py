"""Lets features put links on the account pages and add sections to the login page.

A feature adds a link in its `install` function and marks the link's text with `N_`:

    links.add_to_account(app, Link("/account/things", N_("Show"), N_("Your things."), N_("Things")))
"""

from dataclasses import dataclass

from app.web import App


@dataclass(frozen=True)
class Link:
    """A link. On administration pages, `{user_id}` in *path* is replaced with the account's id. *heading* is
    shown only on the owner's account page."""

    path: str
    label: str
    explanation: str
    heading: str = ""


def install(app: App) -> None:
    """Start with no links and no login page sections."""
    app.state.html.globals.update(account_links=[], administration_links=[], login_parts=[])


def add_to_account(app: App, link: Link) -> None:
    """Show *link* on the owner's account page."""
    app.state.html.globals["account_links"].append(link)


def add_to_administration(app: App, link: Link) -> None:
    """Show *link* among the actions on an account's administration page."""
    app.state.html.globals["administration_links"].append(link)


def add_to_login(app: App, template: str) -> None:
    """Show *template* below the form on the login page.

    The page is rendered once for all visitors, so the template may use only `next` and the variables that
    every template gets.
    """
    app.state.html.globals["login_parts"].append(template)
