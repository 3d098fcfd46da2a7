"""The peer: an application on hawkapi-users 0.2.0, built as that library's README shows."""

import os
from typing import Annotated

from hawkapi import Depends, HawkAPI, HTTPException
from hawkapi_auth import JWTConfig, init_auth, requires_user
from hawkapi_mail import InMemoryBackend, init_mail
from hawkapi_sqlalchemy import Base, get_session, init_database
from hawkapi_users import (
    SQLAlchemyBaseUserTable,
    UserManager,
    UserTokenConfig,
    UserTokens,
    init_users,
)
from sqlalchemy.ext.asyncio import AsyncSession

SECRET = os.environ["SECRET_KEY"]


class User(SQLAlchemyBaseUserTable):
    __tablename__ = "users"


app = HawkAPI(docs_url=None, redoc_url=None, scalar_url=None)
database = init_database(app, url=os.environ["DATABASE_URL"])
init_mail(app, backend=InMemoryBackend(), default_sender="app@localhost")
init_auth(app, config=JWTConfig(secret=SECRET, audience="benchmark"))
manager = UserManager(model=User, tokens=UserTokens(UserTokenConfig(secret=SECRET)))
init_users(app, manager=manager)


@app.on_startup
async def create_tables() -> None:
    async with database.get().engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


@app.get("/users/me")
async def me(
    user_id: Annotated[str, Depends(requires_user)],
    session: Annotated[AsyncSession, Depends(get_session)],
) -> dict[str, object]:
    user = await manager.get_by_id(session, user_id)
    if user is None or not user.is_active:
        raise HTTPException(401, detail="no such user")
    return {
        "id": user.id,
        "email": user.email,
        "is_active": user.is_active,
        "is_verified": user.is_verified,
        "is_superuser": user.is_superuser,
    }
