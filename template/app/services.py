"""What the application holds at `app.state`: one attribute for each service, with its type.

A feature sets its own in `install`: `app.state.billing = Billing(...)`. Declare it below, so that pyright
knows it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hawkapi_sqlalchemy import Database
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from app.limits import Limiter
    from app.mail import Mailer
    from app.settings import Settings
    from app.tasks import PeriodicTask
    from app.users import UserManager


class Services:
    """Each is set by the `install` (or `connect`) of its package, before the first request."""

    settings: "Settings"
    db: "Database"
    """`async with app.state.db.session() as db:` commits at the end of the block."""
    reading: "async_sessionmaker[AsyncSession]"
    """Sessions that refuse to write, as GET and HEAD get them."""
    limiter: "Limiter"
    mail: "Mailer"
    tasks: "list[PeriodicTask]"
    users: "UserManager"
    # Your own services go below; template updates never touch them.
