"""The account details that `app users show` prints. Template-owned.

They contain only what a superuser can see, and no secrets. A field that you add to `AccountDetails` appears
in the output of `--json`. To show it in the plain output as well, add a line to `lines`.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.users import User, UserManager
from app.users.audit import last_login
from app.users.manager import MAX_FAILED_LOGINS


def flags_of(user: User) -> list[str]:
    """The state of *user* in words."""
    return [
        "active" if user.is_active else "disabled",
        "verified" if user.is_verified else "unverified",
        *(["superuser"] if user.is_superuser else []),
        *(["must reset the password"] if user.must_reset_password else []),
    ]


@dataclass(frozen=True)
class LastLogin:
    """A login from the audit log."""

    at: datetime
    method: str
    ip_address: str
    browser: str

    def __str__(self) -> str:
        return "  ".join(filter(None, [_moment(self.at), self.method, self.ip_address, self.browser]))


@dataclass(frozen=True)
class AccountDetails:
    """An account and the data that belongs to it."""

    id: str
    email: str
    created_at: datetime
    is_active: bool
    is_verified: bool
    is_superuser: bool
    must_reset_password: bool
    is_locked: bool
    """True after too many wrong passwords. Logging in then requires a known browser or a new password."""
    pending_email: str | None
    delete_after: datetime | None
    last_login: LastLogin | None
    """None if the audit log contains no logins. Entries are kept for AUDIT_RETENTION_DAYS."""
    sessions: int
    second_factors: list[str] | None
    """None if the application has no second factors."""
    recovery_codes_left: int | None
    flags: list[str]

    def as_json(self) -> str:
        """What `--json` prints. Times are ISO 8601, in UTC."""
        told = asdict(self)
        del told["flags"]
        return json.dumps(told, default=datetime.isoformat, ensure_ascii=False)

    def lines(self) -> list[str]:
        """The details as text, one per line."""
        told = {
            "E-mail": self.email,
            "ID": self.id,
            "Created": _moment(self.created_at),
            "State": ", ".join([*self.flags, *(["locked"] if self.is_locked else [])]),
            "Last login": str(self.last_login or "none in the audit log"),
            "Sessions": str(self.sessions),
        }
        if self.second_factors is not None:
            told["Second factors"] = ", ".join(self.second_factors) or "none"
        if self.second_factors:
            told["Recovery codes"] = f"{self.recovery_codes_left} left"
        if self.pending_email:
            told["New address"] = f"{self.pending_email}, once its link is used"
        if self.delete_after:
            told["Deletion"] = f"{_moment(self.delete_after)}, unless the owner logs in before then"
        width = max(len(name) for name in told)
        return [f"{name:{width}}  {value}" for name, value in told.items()]


async def read_details(users: UserManager, db: AsyncSession, user: User) -> AccountDetails:
    """Collect the details of *user*."""
    factors = users.second_factors
    login = await last_login(db, user.id)
    return AccountDetails(
        id=user.id,
        email=user.email,
        created_at=user.created_at,
        is_active=user.is_active,
        is_verified=user.is_verified,
        is_superuser=user.is_superuser,
        must_reset_password=user.must_reset_password,
        is_locked=user.failed_logins >= MAX_FAILED_LOGINS,
        pending_email=user.pending_email,
        delete_after=user.delete_after,
        last_login=login and LastLogin(login.at, login.method, login.ip_address, login.browser),
        sessions=await db.scalar(select(users.sessions.number_of(user))) or 0,
        second_factors=await factors.names_of(db, user) if factors is not None else None,
        recovery_codes_left=await factors.recovery_codes_left(db, user) if factors is not None else None,
        flags=flags_of(user),
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
