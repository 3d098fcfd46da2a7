"""Recovery codes: ten single-use codes that stand in for a lost second factor (ASVS 6.5.1, 6.5.2).

You may change the number of codes. Codes with fewer than 112 bits would need a slow hash.
"""

import hashlib

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.second_factors.models import RecoveryCode
from app.users.typed_codes import in_groups, letters_of, new_code

NUMBER = 10
_LENGTH = 28


async def renew(db: AsyncSession, user_id: str) -> list[str]:
    """Generate and return new codes, which are stored only as hashes. The earlier codes stop working."""
    await remove(db, user_id)
    codes = [new_code(_LENGTH) for _ in range(NUMBER)]
    now = clock.now()
    db.add_all(RecoveryCode(code_hash=_hash(code), user_id=user_id, created_at=now) for code in codes)
    await db.flush()
    return [in_groups(code) for code in codes]


async def spend(db: AsyncSession, user_id: str, code: str) -> bool:
    """Use up *code*. This is a single DELETE, so only one of several simultaneous uses succeeds."""
    spent = await db.execute(
        delete(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == _hash(letters_of(code)))
        .returning(RecoveryCode.code_hash)
    )
    return spent.scalar_one_or_none() is not None


async def remove(db: AsyncSession, user_id: str) -> None:
    """Remove all of an account's codes."""
    await db.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def number_of(user_id: str) -> ColumnElement[int]:
    """The number of codes left, as a subquery."""
    return select(func.count()).where(RecoveryCode.user_id == user_id).scalar_subquery()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
