"""What features add to pages: links on the pages of an account, and parts of the login page.

A feature adds one in its `install`, with sentences that are marked by `N_`:

    links.add_to_account(app, Link("/account/things", N_("Show"), N_("Your things."), N_("Things")))
"""

from dataclasses import dataclass

from app.web import App


@dataclass(frozen=True)
class Link:
    """*path*: on pages of the administration, `{user_id}` stands for the account. *heading*: for the owner's
    page."""

    path: str
    label: str
    explanation: str
    heading: str = ""


def install(app: App) -> None:
    """Begin without links and parts."""
    app.state.html.globals.update(account_links=[], administration_links=[], login_parts=[])


def add_to_account(app: App, link: Link) -> None:
    """Show *link* on the page of the owner's account."""
    app.state.html.globals["account_links"].append(link)


def add_to_administration(app: App, link: Link) -> None:
    """Show *link* among the actions on the page of an account."""
    app.state.html.globals["administration_links"].append(link)


def add_to_login(app: App, template: str) -> None:
    """Show *template* below the form of the login page.

    The page is rendered once for all visitors, so the template may show only `next` and what every template
    has.
    """
    app.state.html.globals["login_parts"].append(template)
