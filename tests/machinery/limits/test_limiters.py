"""The same tests for every limiter, in memory and in Redis.

The clock of Redis cannot be set, so tests move the stored times into the past instead. The real time that
passes in between is too short to matter.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import clock
from app.limits import Limiter, MemoryLimiter, Rate

RATE = Rate.parse("10/15m")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Case:
    """A limiter and a way to let time pass for it."""

    limiter: Limiter
    sleep: Callable[[float], Awaitable[None]]


@pytest.fixture(params=["memory", "redis"])
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    return in_memory(monkeypatch) if request.param == "memory" else in_redis(request)


def in_memory(monkeypatch: pytest.MonkeyPatch) -> Case:
    now = [NOON]
    monkeypatch.setattr(clock, "now", lambda: now[0])

    async def sleep(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return Case(MemoryLimiter(), sleep)


def in_redis(request: pytest.FixtureRequest) -> Case:
    limiter = request.getfixturevalue("connect")()
    prefix = request.getfixturevalue("prefix")
    redis: Any = limiter._redis

    async def sleep(seconds: float) -> None:
        async for name in redis.scan_iter(match=f"{prefix}*"):
            await redis.decrby(name, round(seconds * 1_000_000))

    return Case(limiter, sleep)


@pytest.fixture
def limiter(case: Case) -> Limiter:
    return case.limiter


async def takes(limiter: Limiter, number: int, key: str = "ada", rate: Rate = RATE) -> list[bool]:
    """Whether each of that many calls is allowed."""
    return [await limiter.acquire(key, rate) == 0.0 for _ in range(number)]


async def test_a_full_burst_is_allowed_and_no_more(limiter: Limiter):
    assert await takes(limiter, 13) == [True] * 10 + [False] * 3


async def test_a_refusal_says_when_the_next_call_is_allowed(limiter: Limiter):
    await takes(limiter, 10)

    assert await limiter.acquire("ada", RATE) == pytest.approx(90, abs=1)


async def test_refused_calls_are_not_counted(limiter: Limiter):
    await takes(limiter, 200)

    assert await limiter.acquire("ada", RATE) == pytest.approx(90, abs=1)


async def test_one_call_is_allowed_after_the_wait(case: Case):
    await takes(case.limiter, 10)

    await case.sleep(88)
    before = await takes(case.limiter, 1)
    await case.sleep(2)

    assert before + await takes(case.limiter, 2) == [False, True, False]


async def test_a_bucket_refills_completely_and_no_further(case: Case):
    await takes(case.limiter, 10)

    await case.sleep(RATE.seconds)

    assert await takes(case.limiter, 12) == [True] * 10 + [False] * 2


async def test_a_long_pause_saves_up_no_extra_calls(case: Case):
    await takes(case.limiter, 1)

    await case.sleep(100 * RATE.seconds)

    assert await takes(case.limiter, 12) == [True] * 10 + [False] * 2


async def test_half_the_time_refills_half_the_bucket(case: Case):
    await takes(case.limiter, 10)

    await case.sleep(RATE.seconds / 2)

    assert await takes(case.limiter, 7) == [True] * 5 + [False] * 2


async def test_peeking_counts_nothing(limiter: Limiter):
    looks = [await limiter.peek("ada", RATE) for _ in range(50)]

    assert looks == [0.0] * 50
    assert await takes(limiter, 11) == [True] * 10 + [False]


async def test_peeking_returns_what_taking_would(limiter: Limiter):
    await takes(limiter, 9)
    before = await limiter.peek("ada", RATE)
    await takes(limiter, 1)

    assert before == 0.0
    assert await limiter.peek("ada", RATE) == pytest.approx(90, abs=1)


async def test_refunded_calls_can_be_taken_again(limiter: Limiter):
    await takes(limiter, 10)

    await limiter.refund("ada", RATE)
    await limiter.refund("ada", RATE)

    assert await takes(limiter, 4) == [True, True, False, False]


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_a_refund_does_not_overfill_the_bucket(limiter: Limiter, taken: int):
    await takes(limiter, taken)

    for _ in range(5):
        await limiter.refund("ada", RATE)

    assert await takes(limiter, 11) == [True] * 10 + [False]


async def test_each_key_is_counted_separately(limiter: Limiter):
    await takes(limiter, 10, "ada")

    assert await takes(limiter, 11, "bob") == [True] * 10 + [False]


async def test_each_rate_of_a_key_is_counted_separately(limiter: Limiter):
    """`3/s` and `100/d` for the same client are two limits."""
    await takes(limiter, 10)

    assert await takes(limiter, 3, rate=Rate.parse("2/h")) == [True, True, False]


async def test_ten_of_a_hundred_concurrent_calls_are_allowed(limiter: Limiter):
    waits = await asyncio.gather(*(limiter.acquire("ada", RATE) for _ in range(100)))

    assert waits.count(0.0) == 10


async def test_all_counts_can_be_cleared(limiter: Limiter):
    await takes(limiter, 10, "ada")
    await takes(limiter, 10, "bob")

    await limiter.clear()

    assert await takes(limiter, 1, "ada") + await takes(limiter, 1, "bob") == [True, True]


@pytest.mark.parametrize(
    "key",
    ["", " ", "\0", "\ud800", "a\r\nFLUSHALL\r\n", "*", "🦅", "x" * 1_000_000],
    ids=["empty", "space", "NUL", "surrogate", "lines", "star", "eagle", "long"],
)
async def test_a_key_may_be_anything(limiter: Limiter, key: str):
    other = key + "2"

    assert await takes(limiter, 3, key, Rate(2, 60)) == [True, True, False]
    assert await takes(limiter, 1, other, Rate(2, 60)) == [True]


@pytest.mark.parametrize("rate", [Rate(1, 366 * 86_400), Rate(1, 60), Rate(7, 3600)], ids=str)
async def test_every_rate_allows_its_count(limiter: Limiter, rate: Rate):
    assert await takes(limiter, rate.count + 1, rate=rate) == [True] * rate.count + [False]


class Bucket:
    """The textbook token bucket, for comparison."""

    def __init__(self, rate: Rate) -> None:
        self.rate, self.tokens = rate, float(rate.count)

    def add(self, tokens: float) -> None:
        self.tokens = min(self.tokens + tokens, self.rate.count)

    def wait(self) -> float:
        return max(1 - self.tokens, 0) * self.rate.seconds / self.rate.count

    def acquire(self) -> float:
        wait = self.wait()
        self.tokens -= 0 if wait else 1
        return wait


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rate", [RATE, Rate(1, 600), Rate(3, 300)], ids=str)
async def test_a_limiter_agrees_with_a_token_bucket(case: Case, rate: Rate, seed: int):
    """Time advances in quarters of an interval, so the real time that passes does not matter."""
    dice, bucket = random.Random(seed), Bucket(rate)
    expected: list[float] = []
    found: list[float] = []

    for action in dice.choices(["take", "look", "give back", "sleep"], [6, 2, 1, 3], k=150):
        if action == "take":
            expected.append(bucket.acquire())
            found.append(await case.limiter.acquire("ada", rate))
        elif action == "look":
            expected.append(bucket.wait())
            found.append(await case.limiter.peek("ada", rate))
        elif action == "give back":
            bucket.add(1)
            await case.limiter.refund("ada", rate)
        else:
            quarters = dice.randrange(8)
            bucket.add(quarters / 4)
            await case.sleep(quarters * rate.seconds / rate.count / 4)

    assert found == pytest.approx(expected, abs=5)
    assert [wait == 0 for wait in found] == [wait == 0 for wait in expected]
