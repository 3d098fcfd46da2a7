"""The application as served by tests/test_fuzz.py, with changes that no setting can make.

Hashing costs almost nothing, no rate limit applies, and an extra route provides what a user would have: a
valid login, whatever the last request did to the previous one, and valid links. The extra route is not in
the OpenAPI document, so only the application itself is fuzzed.
"""

import os
from secrets import token_hex

import argon2
import msgspec
from app.database import Db
from app.mail.outbox import DEAD, OutboxMessage
from app.main import create_app
from app.users import Users
from app.users.passwords import hashing
from app.users.routes.sessions import tokens_for
from app.web import Problem, secured_by
from hawkapi import Depends, Request
from hawkapi_mail import EmailMessage
from sqlalchemy import select

PASSWORD = "correct horse battery"
_cheap = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Account(msgspec.Struct):
    """The values that an account's owner knows or finds in the mailbox, keyed by the request fields."""

    user_id: str
    email: str
    new_email: str
    password: str
    current_password: str
    new_password: str
    access_token: str
    refresh_token: str
    verify: str
    reset: str
    email_change: str
    invitation: str
    invitation_id: str
    mail_id: int


hashing.hash_password = _cheap.hash
hashing.DUMMY_HASH = _cheap.hash(PASSWORD)
app = create_app()
app.state.users.limits = None
# Otherwise a form would redirect to a page, whose response is not in the document.
app.message_page = None


@app.post("/fuzz/{kind}", status_code=201, include_in_schema=False)
async def make_account(request: Request, kind: str, users: Users, db: Db) -> Account:
    """A new, logged-in account of a newcomer, a user or a superuser, with a link of each kind."""
    user = await users.create(
        db,
        email=f"{token_hex(8)}@example.com",
        password=PASSWORD,
        is_verified=kind != "newcomer",
        is_superuser=kind == "superuser",
    )
    user.pending_email = f"new-{user.email}"
    await db.flush()
    pair = tokens_for(users, await users.sessions.issue(db, user))
    invitation, token = await users.invitations.make(db, f"{token_hex(8)}@example.com", invited_by="cli")
    return Account(
        user_id=user.id,
        email=user.email,
        new_email=f"{token_hex(8)}@example.com",
        password=PASSWORD,
        current_password=PASSWORD,
        new_password=PASSWORD,
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        verify=users.verify_token(user),
        reset=users.reset_token(user),
        email_change=users.email_change_token(user, user.pending_email),
        invitation=token,
        invitation_id=invitation.id,
        mail_id=await make_dead_mail(db),
    )


async def make_dead_mail(db: Db) -> int:
    """The id of an e-mail that could not be sent."""
    await app.state.mail.for_session(db).send(
        EmailMessage("Hello", to=["ada@example.com"], text_body="Hello")
    )
    await db.flush()
    mail = await db.scalar(select(OutboxMessage).order_by(OutboxMessage.id.desc()).limit(1))
    mail.status = DEAD
    return mail.id


if os.environ.get("FUZZ_DEFECTS"):

    class Thing(msgspec.Struct):
        name: str

    @app.get("/defects/error", status_code=200)
    async def fails(name: str) -> Thing:
        """Returns 500 for a name that is not ASCII"""
        return Thing(name.encode("ascii").decode())

    @app.get("/defects/status", status_code=200)
    async def answers_otherwise(name: str) -> Thing:
        """Returns an undocumented status"""
        raise Problem(410, "Nobody has written this down.")

    @secured_by("bearer", {"type": "http", "scheme": "bearer"})
    async def ask_nobody() -> None: ...

    @app.get("/defects/login", status_code=200, dependencies=[Depends(ask_nobody)])
    async def asks_nobody(name: str) -> Thing:
        """Documents a login but does not check it"""
        return Thing(name)
