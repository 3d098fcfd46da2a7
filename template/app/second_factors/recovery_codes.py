"""Recovery codes: ten codes that each replace a lost second factor once (ASVS 6.5.1, 6.5.2).

You may change their number. A code of fewer than 112 bits would need a slow hash.
"""

import hashlib
import secrets

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.second_factors.models import RecoveryCode

NUMBER = 10
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Easy to tell apart, and no words (RFC 8628, section 6.1)."""
_LENGTH, _GROUP = 28, 4


async def renew(db: AsyncSession, user_id: str) -> list[str]:
    """Make new codes. The earlier ones stop working. Only the caller ever has the codes themselves."""
    await remove(db, user_id)
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(NUMBER)]
    now = clock.now()
    db.add_all(RecoveryCode(code_hash=_hash(code), user_id=user_id, created_at=now) for code in codes)
    await db.flush()
    return [_in_groups(code) for code in codes]


async def spend(db: AsyncSession, user_id: str, code: str) -> bool:
    """Use up *code*. One DELETE decides, so of several simultaneous uses only one succeeds."""
    written = "".join(letter for letter in code.upper() if letter in _LETTERS)
    spent = await db.execute(
        delete(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == _hash(written))
        .returning(RecoveryCode.code_hash)
    )
    return spent.scalar_one_or_none() is not None


async def remove(db: AsyncSession, user_id: str) -> None:
    """Remove all codes of an account."""
    await db.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def number_of(user_id: str) -> ColumnElement[int]:
    """The number of codes that are left, as a subquery."""
    return select(func.count()).where(RecoveryCode.user_id == user_id).scalar_subquery()


def _in_groups(code: str) -> str:
    return "-".join(code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
