# pyright: reportPrivateUsage=false
# The functions become methods of UserManager and call its private methods.
"""Account administration: find, change and delete accounts.

These functions are methods of `UserManager` for superusers, the command line and the worker. Operations
that owners perform on their own accounts are in `manager.py`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Delete, select, tuple_
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.i18n import gettext as _
from app.users import audit
from app.users.email_addresses import parse_email
from app.users.exceptions import AccountDisabled, AccountInUse, LastSuperuser, NoSuchUser, UserAlreadyExists
from app.users.models import TEMPLATE_COLUMNS, User
from app.users.passwords.policy import context_words

if TYPE_CHECKING:
    from app.users.manager import UserManager


async def search(
    self: "UserManager",
    db: AsyncSession,
    *,
    text: str = "",
    before: tuple[datetime, str] | None = None,
    since: tuple[datetime, str] | None = None,
    limit: int = 50,
    **flags: bool | None,
) -> list[User]:
    """Accounts whose address contains *text* and whose columns match *flags*, newest first.

    *before*: the `created_at` and id of the last account on the previous page. With *since*, returns the
    accounts from that position onward, oldest first.
    """
    query = select(self.model)
    if text:
        query = query.where(self.model.email.contains(text.lower(), autoescape=True))
    for name, value in flags.items():
        if value is not None:
            query = query.where(getattr(self.model, name).is_(value))
    if before is not None:
        query = query.where(tuple_(self.model.created_at, self.model.id) < before)
    if since is not None:
        oldest_first = query.where(tuple_(self.model.created_at, self.model.id) >= since)
        query = oldest_first.order_by(self.model.created_at, self.model.id)
    else:
        query = query.order_by(self.model.created_at.desc(), self.model.id.desc())
    return list(await db.scalars(query.limit(limit)))


async def emails_by_id(self: "UserManager", db: AsyncSession, user_ids: Iterable[str]) -> dict[str, str]:
    """The e-mail addresses of accounts, keyed by id. Deleted accounts are omitted."""
    query = select(self.model.id, self.model.email).where(self.model.id.in_(set(user_ids)))
    return {row.id: row.email for row in await db.execute(query)}


async def update(
    self: "UserManager",
    db: AsyncSession,
    user: User,
    *,
    email: str | None = None,
    password: str | None = None,
    is_active: bool | None = None,
    is_verified: bool | None = None,
    is_superuser: bool | None = None,
    must_reset_password: bool | None = None,
    own: dict[str, Any] | None = None,
) -> User:
    """Change an account. A new address starts out unverified.

    These changes end every session and invalidate every older token: changing the address or the password,
    marking the address as unverified, disabling the account, setting *must_reset_password*, and making the
    owner a superuser if REQUIRE_SECOND_FACTOR is `admins`. A new password also unlocks the account. Checking
    and hashing a password takes time, so commit first if *db* has an open transaction.

    *must_reset_password*: the password is rejected, as if it were wrong, until the owner sets a new one with
    the link that this method e-mails. The flag is allowed even for the last active superuser, because using
    the link does not require another superuser.

    *own*: new values for your own columns.

    Raises:
        InvalidEmail, InvalidPassword, UserAlreadyExists: the value is rejected. Nothing is changed.
        LastSuperuser: this is the last active superuser. Nothing is changed.
        NoSuchUser: the account has been deleted in the meantime.
        ValueError: *own* names something other than your own columns. Nothing is changed.
    """
    own = own or {}
    if forbidden := own.keys() - (set(self.model.__mapper__.columns.keys()) - TEMPLATE_COLUMNS):
        raise ValueError(f"These are not columns of your own: {sorted(forbidden)}.")
    hashed_password = None
    if email is not None:
        email = parse_email(email)
    if password is not None:
        await self._check_password(password, context_words(email or user.email, vars(user)))
        hashed_password = await self.hasher.hash(password)
    if is_active is False or is_superuser is False:
        await self.require_another_superuser(db, user)
    if not await self.lock(db, user):
        raise NoSuchUser(_("The account does not exist."))
    old_email, was_verified = user.email, user.is_verified
    if is_verified is None and email not in (None, old_email):
        is_verified = False
    wanted = {
        "email": email,
        "hashed_password": hashed_password,
        "is_active": is_active,
        "is_verified": is_verified,
        "is_superuser": is_superuser,
        "must_reset_password": must_reset_password,
    }
    changes = {
        name: value for name, value in wanted.items() if value is not None and value != getattr(user, name)
    }
    changes |= {name: value for name, value in own.items() if value != getattr(user, name)}
    if changes:
        await _apply(self, db, user, changes)
        await _follow_up(self, db, user, changes, old_email=old_email, was_verified=was_verified)
    return user


async def _apply(self: "UserManager", db: AsyncSession, user: User, changes: dict[str, Any]) -> None:
    if "email" in changes and await self.get_by_email(db, changes["email"]) is not None:
        raise UserAlreadyExists(f"{changes['email']} already has an account.")
    values = dict(changes)
    if "hashed_password" in changes:
        # Reset the count: the wrong passwords that locked the account were guesses at the old password.
        values["failed_logins"] = 0
    # A used link must not verify the address again. Disabling an account must end all of its sessions.
    taken_away = changes.get("is_verified") is False or changes.get("is_active") is False
    taken_away = taken_away or changes.get("must_reset_password") is True
    # An existing session may have started without the second factor that superusers must have.
    taken_away = taken_away or (
        changes.get("is_superuser") is True and self.require_second_factor == "admins"
    )
    if "email" in changes or "hashed_password" in changes or taken_away:
        # Let the database increment the version, so that the second of two simultaneous changes also
        # invalidates the tokens issued since the first.
        values["password_version"] = self.model.password_version + 1
    try:
        async with self._unique_email(db, changes.get("email", user.email)):
            for name, value in values.items():
                setattr(user, name, value)
    except UserAlreadyExists:
        # The caller may still show the account, but the rollback has expired these attributes.
        await db.refresh(user)
        raise
    await db.refresh(user)


async def _follow_up(
    self: "UserManager",
    db: AsyncSession,
    user: User,
    changes: dict[str, Any],
    *,
    old_email: str,
    was_verified: bool,
) -> None:
    """Record *changes* in the audit log, notify the owner and call the hook."""
    flags = {name: value for name, value in changes.items() if isinstance(value, bool)}
    audit.record(db, "update", user.id, details={"changed": sorted(changes)} | flags)
    if "email" in changes:
        await self.send_notice(user, "email_changed", to=old_email, is_verified=was_verified)
    if "hashed_password" in changes:
        await self.send_notice(user, "password_changed")
    if changes.get("must_reset_password") and self._can_receive_mail(user):
        await self._mail_reset(user)
    await self.on_after_update(user, set(changes))


async def send_password_reset(self: "UserManager", db: AsyncSession, user: User) -> None:
    """Like `request_password_reset`, but for administrators and without rate limits.

    Raises:
        AccountDisabled: the account is disabled. No e-mail is sent.
        NoSuchUser: the account has been deleted in the meantime.
    """
    if not await self.lock(db, user):
        raise NoSuchUser(_("The account does not exist."))
    if not user.is_active:
        raise AccountDisabled(_("The account is disabled, so no e-mail is sent to it."))
    if self._can_receive_mail(user):
        await self._mail_reset(user)
    audit.record(db, "password_reset_request", user.id, actor="")


async def delete(self: "UserManager", db: AsyncSession, user: User) -> None:
    """Delete an account and, through foreign keys, everything that belongs to it.

    Raises:
        LastSuperuser: this is the last active superuser. Nothing is changed.
        AccountInUse: one of your tables refers to this account through a foreign key without CASCADE.
    """
    await self.require_another_superuser(db, user)
    # The second of two simultaneous deletions finds no row, so the hooks run only once.
    if not await self.lock(db, user):
        return
    # Keep the user object in the session, because the notice still needs it.
    this_one = delete_from(self.model).where(self.model.id == user.id)
    try:
        async with db.begin_nested():
            await self.on_before_delete(user)
            await db.flush()
            await _delete(db, this_one.execution_options(synchronize_session=False))
    except AccountInUse:
        # The caller may still show the account, but the rollback has expired the attributes that the hook
        # changed.
        await db.refresh(user)
        raise
    audit.record(db, "delete", user.id)
    await self.send_notice(user, "account_deleted")


async def _delete(db: AsyncSession, statement: Delete) -> None:
    try:
        await db.execute(statement)
    except IntegrityError as error:
        raise AccountInUse(_("The account cannot be deleted, because other data refers to it.")) from error


async def delete_due(self: "UserManager", db: AsyncSession, *, skip: int = 0) -> bool:
    """Delete one account whose grace period has passed, after skipping *skip* such accounts. Returns False if
    there are none left."""
    due = select(self.model).where(self.model.delete_after <= clock.now())
    due = due.order_by(self.model.delete_after, self.model.id).offset(skip).limit(1)
    user = await db.scalar(due)
    if user is None:
        return False
    # Lock the superusers first, as `delete` does. A login may have canceled the deletion in the meantime.
    await self.require_another_superuser(db, user)
    await self.lock(db, user)
    if user.delete_after is not None and user.delete_after <= clock.now():
        await self.delete(db, user)
    return True


async def require_another_superuser(self: "UserManager", db: AsyncSession, user: User) -> None:
    """Raise `LastSuperuser` if *user* is the last active superuser.

    Locks the superusers' rows, so that if two superusers demote each other, one of the changes fails.
    """
    others = (
        select(self.model.id)
        .where(
            self.model.is_superuser.is_(True),
            self.model.is_active.is_(True),
            self.model.delete_after.is_(None),
        )
        .order_by(self.model.created_at, self.model.id)
        .with_for_update()
    )
    active = set(await db.scalars(others))
    if active == {user.id}:
        raise LastSuperuser(_("This is the last active superuser. Make another account a superuser first."))
