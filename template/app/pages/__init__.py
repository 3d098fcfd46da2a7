"""HTML pages for every flow, so people can use the application without a separate front end.

This folder is yours to change. A page is one template in `templates/` and one handler in `routes/`. The pages
call the same manager as the JSON routes, so no rule is implemented twice. They work without JavaScript.
"""

from pathlib import Path

from app import i18n
from app.pages import errors, links, messages, navigation, static
from app.pages.routes import (
    account,
    admin,
    admin_audit,
    admin_invitations,
    admin_mails,
    credentials,
    home,
    language,
    login,
    mailbox,
    password_reset,
    profile,
    registration,
    sessions,
)
from app.web import App

# Your own imports go below; template updates never touch them.
# isort: split

REQUIRES = ("users", "web")
"""Features that must be installed before this one."""

_FOLDER = Path(__file__).parent


def install(app: App) -> None:
    """Add the pages, their layout and their stylesheet, and show errors to browsers as pages."""
    files = static.static_files(app.state.settings)
    html = app.state.html
    html.add_folder(_FOLDER / "templates")
    html.allow("style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'")
    html.globals.update(static_url=files.url, login_url="/login", format_moment=i18n.format_moment)
    links.install(app)
    html.add_context(navigation.context)
    html.add_context(messages.context)
    app.error_page = errors.error_page
    app.message_page = navigation.message_page
    app.include_router(files.router())
    for router in (
        home.router,
        registration.router,
        login.router,
        password_reset.router,
        account.router,
        credentials.router,
        profile.router,
        sessions.router,
        language.router,
        admin.router,
        admin_invitations.router,
        admin_audit.router,
        admin_mails.router,
        # Your own pages go below; template updates never touch them.
    ):
        app.include_router(router)
    if app.state.settings.environment == "development":
        app.include_router(mailbox.router)
