"""Your own additions to `User`: unique columns, relationships that are loaded with the account, and columns
that only superusers change."""

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import foreign, registry, relationship, remote

from app.users import User
from app.users.routes.admin import change_user
from app.users.schemas import UserUpdate
from tests.conftest import PASSWORD


@pytest.fixture
def private(manager, monkeypatch) -> None:
    monkeypatch.setattr(manager, "registration", "private")


# The primary key stands for a unique column of your own, such as a user name.


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("email", ["ada@example.com", "free@example.com"])
async def test_a_taken_value_gets_the_same_error_for_every_address(manager, make_user, db, email):
    await make_user("ada@example.com", is_verified=True)
    await make_user("eve@example.com", id="taken")

    with pytest.raises(IntegrityError):
        async with db.session() as session:
            await manager.register(session, email=email, password=PASSWORD, id="taken")


@pytest.mark.usefixtures("private")
async def test_a_free_value_leaves_nothing_if_the_address_is_taken(manager, make_user, db, outbox):
    await make_user("ada@example.com", is_verified=True)

    async with db.session() as session:
        await manager.register(session, email="ada@example.com", password=PASSWORD, id="free")

    async with db.session(commit=False) as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 1
    assert [each.to for each in await outbox()] == [["ada@example.com"]]


class Member:
    """An account with a relationship of your own that is loaded with it."""


@pytest.fixture
def joined(manager, monkeypatch) -> Iterator[None]:
    users = User.__table__
    by_email = remote(users.c.email) == foreign(users.c.pending_email)
    successor = relationship(User, primaryjoin=by_email, lazy="joined", uselist=False, viewonly=True)
    members = registry(metadata=User.metadata)
    members.map_imperatively(Member, users, properties={"successor": successor})
    monkeypatch.setattr(manager, "model", Member)
    yield
    members.dispose()


@pytest.mark.usefixtures("joined")
async def test_an_account_with_a_joined_relationship_can_be_locked(manager, make_user, db):
    """PostgreSQL cannot lock the rows on the nullable side of an outer join."""
    await make_user("ada@example.com", pending_email="eve@example.com")
    await make_user("eve@example.com")

    async with db.session() as session:
        user = await manager.get_by_email(session, "ada@example.com")
        assert await manager.lock(session, user)
        assert await manager._held_by_email(session, "ada@example.com") is user
        assert user.successor.email == "eve@example.com"


# The language stands for a column of your own that only superusers change.


class Update(UserUpdate):
    language: str | msgspec.UnsetType | None = msgspec.UNSET
    password: str | msgspec.UnsetType = msgspec.UNSET
    hashed_password: str | msgspec.UnsetType = msgspec.UNSET


@pytest.fixture
def change(manager, db):
    """`await change(user, language="de")` calls the handler of `PATCH /users/{user_id}` with this body."""

    async def patch(user, **fields):
        async with db.session() as session:
            await change_user(None, None, user.id, Update(**fields), None, manager, session)

    return patch


async def test_superusers_change_a_column_of_your_own(make_user, change, stored):
    user = await make_user()

    await change(user, language="de", is_verified=True)

    now = await stored(user)
    assert (now.language, now.is_verified) == ("de", True)


@pytest.mark.parametrize(("fields", "language"), [({}, "de"), ({"language": None}, None)], ids=str)
async def test_an_omitted_field_keeps_its_value_and_null_clears_it(
    make_user, change, stored, fields, language
):
    user = await make_user(language="de")

    await change(user, is_verified=True, **fields)

    assert (await stored(user)).language == language


async def test_a_field_cannot_set_a_column_of_the_template(make_user, change, stored):
    user = await make_user()

    await change(user, hashed_password="x", is_verified=True)

    assert (await stored(user)).hashed_password == user.hashed_password


async def test_a_field_cannot_set_the_password(make_user, change, stored):
    user = await make_user()

    with pytest.raises(ValueError, match="password"):
        await change(user, password="a brand new password")

    assert (await stored(user)).hashed_password == user.hashed_password
