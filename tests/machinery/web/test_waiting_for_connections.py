"""Requests that wait for a connection get one in the order in which they came."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.exc import TimeoutError as NoFreeConnection


@pytest.fixture
def sessions(build_app):
    """Opens sessions of an application with a single connection for writing."""
    return build_app(database_pool_size=1).state.db.session


@pytest.fixture
def take_turns(sessions):
    """`await take_turns("a", "b")`: the order in which requests had the connection, three times each."""

    async def run(*names):
        turns = []

        async def request(name):
            async with sessions() as db:
                for _ in range(3):
                    await db.execute(select(1))
                    turns.append(name)
                    await db.commit()

        await asyncio.gather(*(request(name) for name in names))
        return turns

    return run


async def test_a_request_does_not_overtake_those_that_wait(take_turns):
    assert await take_turns("a", "b", "c") == ["a", "b", "c"] * 3


async def waits(task):
    """Let *task* run until it waits for a connection."""
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done


async def test_a_request_that_stops_waiting_does_not_hold_up_the_others(sessions, take_turns):
    async with sessions() as db:
        await db.execute(select(1))
        first, second = asyncio.create_task(take_turns("a")), asyncio.create_task(take_turns("b"))
        await waits(first)
        first.cancel()
        await waits(second)

    assert await second == ["b"] * 3
    assert await take_turns("c") == ["c"] * 3


async def test_waiting_ends_after_the_timeout(sessions, take_turns, monkeypatch):
    async with sessions() as db:
        monkeypatch.setattr((await db.connection()).engine.pool, "_timeout", 0.2)
        await db.execute(select(1))
        waiting = [take_turns("a"), take_turns("b")]

        ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(each) for each in ends] == [NoFreeConnection] * 2
    assert await take_turns("c") == ["c"] * 3
