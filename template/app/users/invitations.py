"""Invitations: e-mailed links to create an account. With REGISTRATION=closed, nobody can register without an
invitation.

An invitation is a row, and the token in its link contains the row's id. Using the link deletes the row, so
the link works only once. A new invitation for an address replaces any older one. This module knows nothing
about HTTP.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import String, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base, released
from app.i18n import gettext as _
from app.users import audit
from app.users.email_addresses import parse_email
from app.users.exceptions import NoSuchInvitation, TokenError, UserAlreadyExists
from app.users.models import User
from app.users.tokens import UserTokens

if TYPE_CHECKING:
    from app.users.manager import UserManager


class UserInvitation(Base):
    """An invitation that has not been used yet."""

    __tablename__ = "user_invitations"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    email: Mapped[str] = mapped_column(String(320), unique=True, index=True)
    invited_by: Mapped[str] = mapped_column(String(36))
    """A user id, or `cli`."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Invitations:
    """Operations on invitations. The caller commits."""

    def __init__(self, tokens: UserTokens) -> None:
        self._tokens = tokens
        self._lasts = timedelta(seconds=tokens.config.invitation_ttl_seconds)

    async def make(self, db: AsyncSession, email: str, *, invited_by: str) -> tuple[UserInvitation, str]:
        """Invite *email*, as returned by `parse_email`. Returns the invitation and the token for its link.

        Of several simultaneous invitations for an address, only the last one works.
        """
        now = clock.now()
        values = {
            "id": str(uuid4()),
            "invited_by": invited_by,
            "created_at": now,
            "expires_at": now + self._lasts,
        }
        # Use one statement, so that simultaneous invitations do not violate the unique index (CWE-362). The
        # new id invalidates the link of the earlier invitation.
        insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
        upsert = insert(UserInvitation).values(email=email, **values)
        upsert = upsert.on_conflict_do_update(index_elements=[UserInvitation.email], set_=values)
        row = (await db.scalars(upsert.returning(UserInvitation))).one()
        return row, self._tokens.issue_invitation(row.id, email=email)

    async def open(self, db: AsyncSession) -> list[UserInvitation]:
        """The usable invitations, newest first."""
        usable = select(UserInvitation).where(UserInvitation.expires_at > clock.now())
        newest_first = usable.order_by(UserInvitation.created_at.desc(), UserInvitation.id)
        return list(await db.scalars(newest_first))

    async def of_token(self, db: AsyncSession, token: str) -> UserInvitation:
        """The invitation that *token* belongs to. Does not change the invitation. Raises `TokenError` if the
        token cannot be used."""
        row = await db.get(UserInvitation, self._tokens.peek_invitation_token_sub(token))
        if row is None or row.expires_at <= clock.now():
            raise TokenError("invitation was used or withdrawn, or has expired")
        self._tokens.verify_invitation_token(token, expected_email=row.email)
        return row

    async def remove(self, db: AsyncSession, invitation_id: str) -> bool:
        """Delete a used or withdrawn invitation. Returns True to only one of several simultaneous callers."""
        this_one = delete(UserInvitation).where(UserInvitation.id == invitation_id)
        removed = await db.execute(
            this_one.returning(UserInvitation.id).execution_options(synchronize_session=False)
        )
        return removed.scalar_one_or_none() is not None

    async def remove_expired(self, db: AsyncSession) -> None:
        """Delete expired invitations."""
        await db.execute(delete(UserInvitation).where(UserInvitation.expires_at <= clock.now()))


# Methods of `UserManager`


async def invite(self: "UserManager", db: AsyncSession, *, email: str, invited_by: str) -> UserInvitation:
    """Send *email* a link to create an account. Any earlier link stops working.

    Raises:
        InvalidEmail: *email* is not a valid e-mail address.
        UserAlreadyExists: the address already has an account.
    """
    email = parse_email(email)
    if await self.get_by_email(db, email) is not None:
        raise UserAlreadyExists(f"{email} already has an account.")
    row, token = await self.invitations.make(db, email, invited_by=invited_by)
    if self.send_invitation is not None:
        await self.send_invitation(db, email, token)
    audit.record(db, "invite", None, details={"invitation": row.id})
    return row


async def withdraw_invitation(self: "UserManager", db: AsyncSession, invitation_id: str) -> None:
    """Withdraw an invitation, so that its link stops working. Raises `NoSuchInvitation`."""
    if not await self.invitations.remove(db, invitation_id):
        raise NoSuchInvitation(_("The invitation does not exist."))
    audit.record(db, "invitation_withdrawn", None, details={"invitation": invitation_id})


async def accept_invitation(
    self: "UserManager", db: AsyncSession, *, token: str, password: str, **extra: Any
) -> User:
    """Accept the invitation that *token* belongs to, and create the account. The address counts as
    verified, because the link was sent to it.

    *extra*: values for your own columns.

    Raises:
        InvalidPassword: the password is not allowed. The invitation can still be used.
        TokenError: the invitation was used or withdrawn, or has expired. Only one of several simultaneous
        uses succeeds.
        UserAlreadyExists: the address has since been registered by other means.
    """
    async with released(db):
        invitation = await self.invitations.of_token(db, token)
    user = await self.create(db, email=invitation.email, password=password, is_verified=True, **extra)
    if not await self.invitations.remove(db, invitation.id):
        raise TokenError("invitation has already been used")
    return user
