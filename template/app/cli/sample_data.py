"""`app db seed`: sample accounts. They are for development only, because their password is public."""

import asyncio
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING

import typer

from app.cli.common import application, fail, friendly_errors

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.settings import Settings
    from app.users import User, UserManager, UserSession
    from app.users.audit import AuditEvent

# This password is intentionally public.
PASSWORD = "only for development"  # noqa: S105  # nosec B105 # pragma: allowlist secret
"""The password of every sample account."""
ADMINISTRATOR = "admin@example.com"

_FIRST_NAMES = ("ada", "grace", "alan", "edsger", "barbara", "donald", "frances", "ken", "radia", "tim")
_LAST_NAMES = ("lovelace", "hopper", "turing", "liskov", "allen")
_CLIENTS = (
    ("192.0.2.10", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (
        "198.51.100.23",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/18.5 Mobile/15E148 Safari/604.1",
    ),
    (
        "2001:db8::7",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0"
        " Safari/537.36",
    ),
    ("203.0.113.99", "okhttp/4.12.0"),
)
"""IP addresses reserved for documentation (RFC 5737, RFC 3849), each with a User-Agent header."""


@friendly_errors
def seed() -> None:
    """Add sample data for development: a superuser, fifty users, sessions, events, invitations and an
    e-mail."""
    from app.settings import load_settings

    add_sample_data(load_settings())


def add_sample_data(settings: "Settings") -> None:
    """Add the sample data unless it already exists, and print how to log in. See `seed`."""
    if settings.environment != "development":
        fail(
            f"Sample data is for development, but ENVIRONMENT is {settings.environment}. Everyone knows the"
            " password of these accounts, and one of them is a superuser."
        )
    added = asyncio.run(_add_unless_there())
    typer.echo(
        "Added a superuser, 50 users, their sessions and events, 2 invitations and an e-mail that could not"
        " be sent."
        if added
        else "The sample data already exists."
    )
    typer.echo(f"Log in as {ADMINISTRATOR} or ada.lovelace@example.com. The password is: {PASSWORD}")


async def _add_unless_there() -> bool:
    async with application() as app, app.state.db.session() as db:
        users = app.state.users
        if await users.get_by_email(db, ADMINISTRATOR) is not None:
            return False
        await _add(db, users)
        return True


async def _add(db: "AsyncSession", users: "UserManager") -> None:
    from app import clock

    now = clock.now()
    # Hashing a password takes 100 ms, so all accounts share one hash.
    hashed = await users.hasher.hash(PASSWORD)
    administrator = users.model(
        email=ADMINISTRATOR, hashed_password=hashed, is_verified=True, is_superuser=True
    )
    people = [
        _person(users, f"{first}.{last}@example.com", hashed, number, now)
        for number, (first, last) in enumerate(product(_FIRST_NAMES, _LAST_NAMES))
    ]
    db.add_all([administrator, *people])
    await db.flush()
    for number, user in enumerate(people):
        db.add_all(_events(user, number, now))
        db.add_all(_sessions(user, number, now))
    for email in ("linus@example.com", "margaret@example.com"):
        await users.invitations.make(db, email, invited_by=administrator.id)
    _add_failed_mail(db, people[0])
    # Your own rows go below; template updates never touch them.


def _person(users: "UserManager", email: str, hashed: str, number: int, now: datetime) -> "User":
    """A sample account. Some accounts are disabled, unverified, locked or about to be deleted."""
    user: User = users.model(
        email=email,
        hashed_password=hashed,
        is_verified=number % 6 != 5,
        is_active=number % 11 != 10,
        created_at=now - timedelta(days=3 * number + 1, minutes=7 * number),
    )
    match number:
        case 7:
            user.must_reset_password = True
        case 13:
            user.failed_logins = 100
        case 22:
            user.pending_email = "barbara@example.org"
        case 31:
            user.is_active, user.delete_after = False, now + timedelta(days=5)
        case _:
            pass
    return user


def _events(user: "User", number: int, now: datetime) -> "Iterator[AuditEvent]":
    from app.users.audit import AuditEvent
    from app.users.user_agents import browser_of

    ip_address, user_agent = _CLIENTS[number % len(_CLIENTS)]
    happened = [("register", "success", user.created_at)]
    happened += [("login", "success", user.created_at + timedelta(minutes=5))]
    if number % 4 == 0:
        happened += [("login", "failure", now - timedelta(hours=number + 2, minutes=1))]
    if number % 3 == 0:
        happened += [("login", "success", now - timedelta(hours=number + 2))]
    for event, outcome, at in happened:
        yield AuditEvent(
            at=at,
            event=event,
            outcome=outcome,
            user_id=user.id,
            actor=user.id if outcome == "success" else "",
            method="password",
            ip_address=ip_address,
            user_agent=user_agent,
            browser=browser_of(user_agent),
            details="{}",
        )


def _sessions(user: "User", number: int, now: datetime) -> "Iterator[UserSession]":
    from app.users import UserSession

    for each in range(number % 4 if user.is_active else 0):
        ip_address, user_agent = _CLIENTS[(number + each) % len(_CLIENTS)]
        began = now - timedelta(days=each, hours=number % 12 + 1)
        yield UserSession(
            user_id=user.id,
            kind="bearer" if user_agent.startswith("okhttp") else "cookie",
            # For display only: nobody knows the tokens, so nobody can use these sessions.
            secret_hash=secrets.token_hex(32),
            password_version=0,
            created_at=began,
            authenticated_at=began,
            last_seen_at=now - timedelta(minutes=13 * each + number),
            expires_at=began + timedelta(days=90),
            ip_address=ip_address,
            user_agent=user_agent,
        )


def _add_failed_mail(db: "AsyncSession", user: "User") -> None:
    from hawkapi_mail import EmailMessage

    from app.mail import enqueue
    from app.mail.outbox import DEAD

    message = EmailMessage.build(
        subject="An e-mail that could not be sent",
        sender="app@app.test",
        to=user.email,
        text="The mail server rejected this e-mail. An administrator can send it again or delete it.",
    )
    mail = enqueue(db, message, user_id=user.id)
    mail.status, mail.attempts, mail.last_error = DEAD, 33, "SMTPRecipientsRefused 550 5.1.1"
