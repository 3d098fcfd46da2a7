"""The application's services, on `app.state`: one typed attribute per service.

A feature sets its service in `install`: `app.state.billing = Billing(...)`. Declare the attribute below so
that pyright knows its type.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hawkapi_sqlalchemy import Database
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from app.limits import Limiter
    from app.mail import Mailer
    from app.scheduler import Scheduler
    from app.settings import Settings
    from app.tasks import PeriodicTask
    from app.users import UserManager
    from app.web.html import HtmlPages


class Services:
    """Each package's `install` (or `connect`) sets its service before the first request."""

    settings: "Settings"
    db: "Database"
    """`async with app.state.db.session() as db:` commits at the end of the block."""
    reading: "async_sessionmaker[AsyncSession]"
    """Creates the read-only sessions that GET and HEAD requests use."""
    html: "HtmlPages"
    limiter: "Limiter"
    mail: "Mailer"
    tasks: "list[PeriodicTask]"
    scheduler: "Scheduler"
    users: "UserManager"
    # Your own services go below; template updates never touch them.
