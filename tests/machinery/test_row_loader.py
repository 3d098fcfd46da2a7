"""Objects loaded without the ORM's loaders equal objects loaded with them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import ForeignKey, bindparam, event, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.database.reading import FAST_PATHS, Joined
from app.users import User, UserSession


class Tables(DeclarativeBase):
    """Tables for these tests only."""


class Author(Tables):
    __tablename__ = "authors"

    name: Mapped[str] = mapped_column(primary_key=True)
    born: Mapped[int] = mapped_column("year_of_birth")
    later: Mapped[list["Book"]] = relationship(viewonly=True)


class Book(Tables):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    author_name: Mapped[str] = mapped_column(ForeignKey("authors.name"))


class Eager(Tables):
    __tablename__ = "eager"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_name: Mapped[str] = mapped_column(ForeignKey("authors.name"))
    author: Mapped[Author] = relationship(lazy="joined")


class Deferring(Tables):
    __tablename__ = "deferring"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_name: Mapped[str] = mapped_column(ForeignKey("authors.name"))
    long: Mapped[str] = mapped_column(deferred=True)


def by_id(model: type) -> Joined:
    return Joined(model, Author, on=Author.name == model.author_name, where=model.id == bindparam("id"))


ONE = {"id": 1}


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
async def session(request) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False) as writer, writer.begin():
        writer.add(Author(name="Ada", born=1815))
        await writer.flush()
        writer.add_all([Book(id=1, name="Notes", author_name="Ada"), Eager(id=1, author_name="Ada")])
        writer.add(Deferring(id=1, author_name="Ada", long="x"))
    async with AsyncSession(engine, info={FAST_PATHS: request.param}) as session:
        yield session
    await engine.dispose()


async def test_every_column_is_loaded(session):
    book, author = await by_id(Book).one(session, ONE)

    assert (book.id, book.name, book.author_name) == (1, "Notes", "Ada")
    assert (author.name, author.born) == ("Ada", 1815)


async def test_a_missing_row_is_none(session):
    assert await by_id(Book).one(session, {"id": 2}) is None


async def test_the_objects_belong_to_the_session(session):
    book, author = await by_id(Book).one(session, ONE)

    assert inspect(book).persistent
    assert not inspect(book).modified
    assert await session.get(Author, "Ada") is author
    assert await session.scalar(select(Book)) is book
    assert await by_id(Book).one(session, ONE) == (book, author)


async def test_a_change_is_flushed(session):
    book, _ = await by_id(Book).one(session, ONE)
    book.name = "Other notes"

    await session.commit()

    assert await session.scalar(select(Book.name)) == "Other notes"


async def test_an_unflushed_change_is_kept(session):
    book, _ = await by_id(Book).one(session, ONE)
    book.name = "Other notes"

    again, _ = await by_id(Book).one(session, ONE)

    assert again.name == "Other notes"


async def test_objects_expired_by_a_rollback_are_reloaded(session):
    await by_id(Book).one(session, ONE)
    await session.rollback()

    book, author = await by_id(Book).one(session, ONE)

    assert (book.name, author.born) == ("Notes", 1815)


async def test_an_object_can_be_deleted(session):
    book, _ = await by_id(Book).one(session, ONE)

    await session.delete(book)
    await session.flush()

    assert await by_id(Book).one(session, ONE) is None


async def test_an_eager_relationship_is_loaded(session):
    eager, author = await by_id(Eager).one(session, ONE)

    assert eager.author is author


async def test_a_deferred_column_is_not_loaded(session):
    row, _ = await by_id(Deferring).one(session, ONE)

    assert "long" in inspect(row).unloaded


async def test_load_events_are_dispatched(session):
    heard = []

    def hear(target, context):
        heard.append(target)

    event.listen(Book, "load", hear)
    book, _ = await by_id(Book).one(session, ONE)
    event.remove(Book, "load", hear)

    assert heard == [book]


def test_the_tables_of_a_login_use_the_fast_path():
    joined = Joined(User, UserSession, on=User.id == UserSession.user_id, where=User.id == "")

    assert len(joined._columns[1]) == 2
