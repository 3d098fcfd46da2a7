"""The pages for logging in with an e-mailed code: one to request the code and one to enter it.

This folder is yours to change. The rules are in `app/email_login`.
"""

from pathlib import Path

from app.email_login.login_codes import LASTS
from app.email_login.mails import mail_code
from app.email_login_pages import login, words
from app.pages import links
from app.pages.mail_previews import PREVIEWS_OF_FEATURES
from app.web import App

REQUIRES = ("email_login", "pages")
"""Features that must be installed before this one."""

_FOLDER = Path(__file__).parent
# Importing this module adds the messages.
_ = words


def install(app: App) -> None:
    """Add the pages, the link on the login page, and the preview of the e-mail."""
    app.state.html.add_folder(_FOLDER / "templates")
    app.include_router(login.router)
    links.add_to_login(app, "email_login/link.html")
    PREVIEWS_OF_FEATURES["login_code"] = lambda user: mail_code(user, "BCDF-GHJK", LASTS)
