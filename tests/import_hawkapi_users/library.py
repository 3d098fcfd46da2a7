"""An application built on the hawkapi-users library, for `tests/test_import_hawkapi_users.py`.

`python library.py URL TABLE register [--own]` creates tables and accounts and prints the accounts; `python
library.py URL TABLE login` prints the status of each one's login.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

import httpx
from hawkapi import HawkAPI
from hawkapi_sqlalchemy import Base, init_database
from hawkapi_users import SQLAlchemyBaseUserTable, UserManager, UserTokenConfig, UserTokens, init_users
from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

url, table, action, *options = sys.argv[1:]
PEOPLE = {
    "ada@example.com": "correct horse battery",
    "eve@example.com": "kitten",
    "kim@bücher.example": "another horse battery",
}


class User(SQLAlchemyBaseUserTable):
    __tablename__ = table
    if options:
        nickname: Mapped[str | None] = mapped_column(String(40), default="Lovely")


if options:

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[str] = mapped_column(String(36), ForeignKey(f"{table}.id", ondelete="CASCADE"))


app = HawkAPI()
database = init_database(app, url=url)
manager = UserManager(model=User, tokens=UserTokens(UserTokenConfig(secret="0123456789abcdef" * 4)))
init_users(app, manager=manager)


async def post(path: str, **body: str) -> int:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.post(path, json=body)).status_code


async def register() -> object:
    async with database.get().engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    for email in PEOPLE:
        assert await post("/users/register", email=email, password="the first password") == 201
    async with database.session() as session:
        for email, password in PEOPLE.items():
            user = await manager.get_by_email(session, email)
            reset = manager.tokens.issue_reset(user.id)
            await manager.reset_password(session, token=reset, new_password=password)
            if options:
                session.add(Order(user_id=user.id))
        ada = await manager.get_by_email(session, "ada@example.com")
        await manager.update(session, ada, is_verified=True, is_superuser=True)
        kim = await manager.get_by_email(session, "kim@bücher.example")
        await manager.update(session, kim, is_active=False)
    async with database.session() as session:
        return [public(user) for user in await session.scalars(select(User).order_by(User.id))]


def public(user: User) -> dict[str, object]:
    names = ("id", "is_active", "is_verified", "is_superuser", "password_version")
    times = {"created_at": in_utc(user.created_at), "updated_at": in_utc(user.updated_at)}
    return {name: getattr(user, name) for name in names} | times


def in_utc(time: datetime) -> str:
    # SQLite returns the library's columns without their time zone.
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


async def login() -> object:
    return [await post("/users/login", email=email, password=password) for email, password in PEOPLE.items()]


async def main() -> None:
    print(json.dumps(await {"register": register, "login": login}[action]()))
    await database.dispose()


asyncio.run(main())
