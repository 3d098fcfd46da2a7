"""Faster ways through private API of SQLAlchemy and aiosqlite, switched on by DATABASE_FAST_PATHS.
Template-owned.

The modules of this folder are imported only while they are on: an update that moves what they rely on cannot
hurt an application that has them off. Both ways give the same results; tests run in both.
"""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

FAST_PATHS = "fast_paths"
"""The key of `Session.info` that says whether a session takes them."""


def are_on(db: Session | AsyncSession) -> bool:
    return bool(db.info.get(FAST_PATHS))
