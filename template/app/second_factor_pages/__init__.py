"""The second factor pages: use a factor at login, manage your factors, and reset an account's factors.

This folder is yours to change. The rules are in `app/second_factors`. Each factor has its own pages folder,
such as `app/totp_pages`, and adds its part to the pages here (`parts.py`).
"""

from pathlib import Path

from app.i18n import N_
from app.pages import links
from app.second_factor_pages import account, administration, login, parts, words
from app.web import App
from app.web.static_files import StaticFiles

REQUIRES = ("pages", "second_factors")
"""Features that must be installed before this one."""

_FOLDER = Path(__file__).parent
# Importing this module adds the messages.
_ = words


def install(app: App) -> None:
    """Add the pages and the links to them."""
    files = StaticFiles("/static/second-factors", _FOLDER / "static")
    html = app.state.html
    html.add_folder(_FOLDER / "templates")
    html.globals.update(second_factors_css=files.url("second_factors.css"))
    parts.install(app)
    for router in (files.router(), login.router, account.router, administration.router):
        app.include_router(router)
    links.add_to_account(
        app,
        links.Link(
            account.PAGE,
            N_("Manage your second factors"),
            N_("An extra step after your password at login, and your recovery codes."),
            heading=N_("Second factors"),
        ),
    )
    links.add_to_administration(
        app,
        links.Link(
            administration.PAGE,
            N_("Second factors"),
            N_("See the account's second factors, and remove them if the owner has lost them."),
        ),
    )
