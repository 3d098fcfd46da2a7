"""Limits counted in Redis (or Valkey), shared by all processes that use it.

The algorithm is the same as in `memory.py`. It runs inside Redis, so two processes never count at the same
time. It uses Redis's clock, so all processes agree on the time. Restarting Redis may reset the counts. A
circuit breaker handles Redis outages.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError

from app.limits.limiter import Limiter, LimiterUnavailable, Rate, bucket_name

logger = logging.getLogger("app.limits")

_COUNT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, count, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.min(tonumber(redis.call('GET', KEYS[1]) or now), now + count * interval)
full_at = math.max(full_at, now)
local wait = full_at - now - (count - 1) * interval
if cost == 0 or (cost > 0 and wait > 0) then
    return math.max(wait, 0)
end
full_at = full_at + cost * interval
if full_at > now then
    local milliseconds = math.ceil((full_at - now) / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', milliseconds))
else
    redis.call('DEL', KEYS[1])
end
return 0
"""
"""Takes ARGV[3] tokens (1, 0 or -1) and returns the microseconds to wait. A full bucket has no key."""

_STEP_TIMEOUT = 0.2
"""Time limit for connecting and for each reply, in seconds. Redis normally replies within a millisecond."""
_TIMEOUT = 0.4
"""Time limit for the whole call, in seconds, no matter what the server does."""


class RedisLimiter:
    """A `Limiter` that uses the Redis server at *url*: redis://, rediss:// (TLS) or unix://.

    *secret* is hashed into the key names: someone who can read Redis cannot tell whose keys they are, and two
    applications on the same Redis server do not share counts. Allows at most 100 concurrent calls.
    """

    def __init__(self, url: str, *, secret: str = "", prefix: str = "limits:") -> None:
        pool = cast(Any, ConnectionPool).from_url(
            url,
            socket_connect_timeout=_STEP_TIMEOUT,
            socket_timeout=_STEP_TIMEOUT,
            # After Redis restarts, old connections are dead. The second attempt opens a new one.
            retry=Retry(NoBackoff(), 1, supported_errors=(NoConnection,)),
            # Without cluster maintenance notifications, connecting takes fewer round trips.
            protocol=2,
            driver_info=None,
        )
        self._redis: Any = Redis.from_pool(pool)
        # Unlike a bare EVALSHA, this reloads the script after SCRIPT FLUSH or a restart.
        self._script: Any = self._redis.register_script(_COUNT)
        self._secret = sha256(secret.encode()).digest()
        self._prefix = prefix

    async def acquire(self, key: str, rate: Rate) -> float:
        return await self._count(key, rate, 1)

    async def peek(self, key: str, rate: Rate) -> float:
        return await self._count(key, rate, 0)

    async def refund(self, key: str, rate: Rate) -> None:
        await self._count(key, rate, -1)

    async def clear(self) -> None:
        try:
            async for name in self._redis.scan_iter(match=f"{self._prefix}*", count=1000):
                await self._redis.unlink(name)
        except (RedisError, OSError) as error:
            raise LimiterUnavailable(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        await self._redis.aclose()

    async def _count(self, key: str, rate: Rate, cost: int) -> float:
        name = self._prefix + bucket_name(key, rate, self._secret)
        try:
            async with asyncio.timeout(_TIMEOUT):
                wait = await self._script(keys=[name], args=[rate.interval, rate.count, cost])
            return int(wait) / 1_000_000
        except (RedisError, OSError, RuntimeError, ValueError) as error:
            # TimeoutError is an OSError. A transport that was closed in the meantime raises RuntimeError. A
            # reply that is not a number, from a server that is not Redis, raises ValueError.
            raise LimiterUnavailable(f"{type(error).__name__}: {error}") from error


_PAUSE = 0.5
"""Seconds before a failed limiter is tried again. This is longer than any call can take."""
_AT_ONCE = 16
"""The maximum number of concurrent calls. Further calls queue, so when Redis goes down, they find the breaker
open instead of each waiting for its own timeout."""


class CircuitBreaker:
    """A `Limiter` that uses *limiter*, or *fallback* while *limiter* is unavailable.

    Without a fallback, no requests are allowed during an outage: `acquire` and `peek` raise
    LimiterUnavailable, and `refund` does nothing. After each pause, one call tries *limiter* again and may
    have to wait for a timeout. The start and the end of an outage are each logged once.
    """

    def __init__(self, limiter: Limiter, fallback: Limiter | None) -> None:
        self._limiter = limiter
        self._fallback = fallback
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._is_away = False
        self._try_again_at = 0.0

    async def acquire(self, key: str, rate: Rate) -> float:
        return await self._ask(lambda limiter: limiter.acquire(key, rate))

    async def peek(self, key: str, rate: Rate) -> float:
        return await self._ask(lambda limiter: limiter.peek(key, rate))

    async def refund(self, key: str, rate: Rate) -> None:
        try:
            await self._ask(lambda limiter: limiter.refund(key, rate))
        except LimiterUnavailable:
            # A refund follows a legitimate request, which must not fail because of the refund.
            return

    async def clear(self) -> None:
        for each in self._all():
            await each.clear()

    async def close(self) -> None:
        for each in self._all():
            await each.close()

    @property
    def is_away(self) -> bool:
        """Whether the last call found *limiter* unavailable."""
        return self._is_away

    def _all(self) -> list[Limiter]:
        return [each for each in (self._limiter, self._fallback) if each is not None]

    async def _ask[T](self, question: Callable[[Limiter], Awaitable[T]]) -> T:
        async with self._turns:
            if self._may_ask():
                try:
                    result = await question(self._limiter)
                except LimiterUnavailable as error:
                    self._note_failure(error)
                else:
                    self._note_success()
                    return result
        if self._fallback is None:
            raise LimiterUnavailable("The limiter is unavailable, and REDIS_OUTAGE=refuse.")
        return await question(self._fallback)

    def _may_ask(self) -> bool:
        if not self._is_away:
            return True
        if time.monotonic() < self._try_again_at:
            return False
        # This call probes the limiter. Delay the next probe by another pause.
        self._try_again_at = time.monotonic() + _PAUSE
        return True

    def _note_failure(self, error: LimiterUnavailable) -> None:
        self._try_again_at = time.monotonic() + _PAUSE
        if not self._is_away:
            self._is_away = True
            until = (
                "limited requests are rejected"
                if self._fallback is None
                else "each process counts separately"
            )
            logger.error("Redis is unavailable (%s): %s until it is back", error, until)

    def _note_success(self) -> None:
        if self._is_away:
            self._is_away = False
            logger.warning("Redis is back: limits are shared again")
