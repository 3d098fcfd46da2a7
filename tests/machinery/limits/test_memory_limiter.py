"""The limiter in memory: it stays small, and filling it does not reset any limit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app import clock
from app.limits import MemoryLimiter, Rate
from app.limits.memory import OVERFLOW

RATE = Rate.parse("2/m")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REFUSED_ALONG = 2
"""How many of ten thousand strangers the test's secret puts into the attacker's bucket, one of 4,096."""

type SetClock = Callable[[float], None]


@pytest.fixture(autouse=True)
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """`set_clock(90)`: set the clock to 90 seconds after noon. It starts at noon."""

    def set_to(seconds: float) -> None:
        moment = NOON + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "now", lambda: moment)

    set_to(0)
    return set_to


async def fill(limiter: MemoryLimiter, number: int) -> None:
    for each in range(number):
        await limiter.acquire(f"filler {each}", RATE)


async def test_filling_the_table_does_not_reset_any_count():
    """Checklist 9: an attacker who has reached the limit cannot make the limiter forget that."""
    limiter = MemoryLimiter(max_keys=100)
    await limiter.acquire("mallory", RATE)
    await limiter.acquire("mallory", RATE)

    await fill(limiter, 1000)

    assert await limiter.acquire("mallory", RATE) == 30.0


async def test_a_new_key_is_limited_even_while_the_table_is_full():
    """Checklist 9."""
    limiter = MemoryLimiter(max_keys=100)
    await fill(limiter, 100)

    waits = [await limiter.acquire("ada", RATE) for _ in range(3)]

    assert waits == [0.0, 0.0, 30.0]


async def test_exhausting_a_shared_bucket_affects_few_other_keys():
    """Checklist 11; CWE-400. Strangers share 4,096 buckets. The limiter's key, which is constant here,
    decides who gets which bucket.
    """
    limiter = MemoryLimiter(max_keys=100, secret=b"a secret of this test")
    await fill(limiter, 100)
    await limiter.acquire("mallory", RATE)
    await limiter.acquire("mallory", RATE)

    others = [await limiter.peek(f"user {number}", RATE) for number in range(10_000)]

    assert await limiter.peek("mallory", RATE) == 30.0
    assert others.count(30.0) == REFUSED_ALONG
    assert others.count(0.0) == 10_000 - REFUSED_ALONG


async def test_most_keys_are_allowed_after_the_table_was_flooded():
    """Checklist 11; CWE-400."""
    limiter = MemoryLimiter(max_keys=100, secret=b"a secret of this test")
    await fill(limiter, 1000)

    others = [await limiter.peek(f"user {number}", RATE) for number in range(1000)]

    assert others.count(0.0) > 970


async def test_clients_cannot_tell_which_keys_share_a_bucket():
    """Checklist 11: each limiter uses its own key, so an attacker cannot target anyone."""
    first, second = MemoryLimiter(max_keys=0), MemoryLimiter(max_keys=0)
    for number in range(OVERFLOW):
        await first.acquire(f"user {number}", Rate(1, 60))
        await second.acquire(f"user {number}", Rate(1, 60))

    keys = [f"other {number}" for number in range(100)]
    assert [await first.peek(key, Rate(1, 60)) for key in keys] != [
        await second.peek(key, Rate(1, 60)) for key in keys
    ]


async def test_a_call_counted_in_a_shared_bucket_is_refunded_there():
    limiter = MemoryLimiter(max_keys=100)
    await fill(limiter, 100)
    await limiter.acquire("ada", RATE)
    await limiter.acquire("ada", RATE)

    await limiter.refund("ada", RATE)

    assert [await limiter.acquire("ada", RATE) for _ in range(2)] == [0.0, 30.0]


async def test_the_table_never_exceeds_its_maximum():
    limiter = MemoryLimiter(max_keys=100)

    await fill(limiter, 40_000)

    assert OVERFLOW < len(limiter) <= 100 + OVERFLOW


async def test_refilled_buckets_make_room(set_clock: SetClock):
    limiter = MemoryLimiter(max_keys=100)
    await fill(limiter, 100)
    set_clock(61)

    waits = [await limiter.acquire(key, RATE) for key in ("ada", "bob", "eve")]

    assert waits == [0.0, 0.0, 0.0]


async def test_refilled_buckets_are_removed_before_the_table_is_full(set_clock: SetClock):
    limiter = MemoryLimiter()
    await fill(limiter, 1000)
    set_clock(61)

    for _ in range(1000):
        await limiter.peek("ada", RATE)

    assert len(limiter) == 0


async def test_no_call_removes_many_buckets(set_clock: SetClock):
    """Removing buckets blocks the event loop."""
    limiter = MemoryLimiter()
    await fill(limiter, 1000)
    set_clock(61)

    await limiter.peek("ada", RATE)

    assert 900 < len(limiter) < 1000


async def test_a_reused_bucket_is_kept(set_clock: SetClock):
    """By then, the table's entry for the first use is outdated."""
    limiter = MemoryLimiter()
    await limiter.acquire("ada", RATE)
    set_clock(29)
    await limiter.acquire("ada", RATE)
    set_clock(31)

    await limiter.acquire("ada", RATE)

    assert await limiter.acquire("ada", RATE) == 29.0


async def test_refused_and_peeked_keys_take_no_room():
    limiter = MemoryLimiter()
    await limiter.acquire("ada", Rate(1, 60))

    await limiter.acquire("ada", Rate(1, 60))
    await limiter.peek("bob", RATE)
    await limiter.refund("eve", RATE)

    assert len(limiter) == 1


@pytest.mark.parametrize("hours", [1, 24, 24 * 365])
async def test_setting_the_clock_back_locks_nobody_out(set_clock: SetClock, hours: int):
    limiter = MemoryLimiter()
    await limiter.acquire("ada", RATE)
    await limiter.acquire("ada", RATE)

    set_clock(-3600 * hours)

    assert await limiter.acquire("ada", RATE) == 30.0


async def test_time_is_counted_to_the_microsecond(set_clock: SetClock):
    limiter = MemoryLimiter()
    await limiter.acquire("ada", RATE)
    await limiter.acquire("ada", RATE)

    set_clock(29.999999)
    before = await limiter.acquire("ada", RATE)
    set_clock(30)

    assert (before, await limiter.acquire("ada", RATE)) == (0.000001, 0.0)


async def test_concurrent_calls_are_counted_exactly():
    """A sum of fractions would drift."""
    limiter, rate = MemoryLimiter(), Rate(100_000, 7)

    allowed = sum([await limiter.acquire("ada", rate) == 0.0 for _ in range(100_010)])

    assert allowed == 100_000
