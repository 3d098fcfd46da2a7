"""Limits in Redis (or Valkey), shared by every process that uses it. A restart of Redis forgets them.

The algorithm is that of `memory.py`, run inside Redis so that no two processes count at once, by its clock so
that they agree about the time. A circuit breaker stands before it for the times when Redis is away.
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
"""Takes ARGV[3] (1, 0 or -1) and returns the microseconds to wait. A key is gone when its bucket is full."""

_STEP_TIMEOUT = 0.2
"""Seconds for connecting and for each answer. Redis needs less than a thousandth."""
_TIMEOUT = 0.4
"""Seconds for all of it, whatever the other end does."""


class RedisLimiter:
    """A `Limiter` at the address *url*: redis://, rediss:// (TLS) or unix://.

    *secret* goes into the names of the keys: nobody can tell from Redis whose they are, and two applications
    in one Redis do not count together. It is for at most 100 calls at once.
    """

    def __init__(self, url: str, *, secret: str = "", prefix: str = "limits:") -> None:
        pool = cast(Any, ConnectionPool).from_url(
            url,
            socket_connect_timeout=_STEP_TIMEOUT,
            socket_timeout=_STEP_TIMEOUT,
            # A connection from before a restart of Redis is dead; the second attempt opens a new one.
            retry=Retry(NoBackoff(), 1, supported_errors=(NoConnection,)),
            # Fewer round trips for a new connection, and no talk about the maintenance of clusters.
            protocol=2,
            driver_info=None,
        )
        self._redis: Any = Redis.from_pool(pool)
        # Unlike a bare EVALSHA it loads the script again after SCRIPT FLUSH and after a restart.
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
            # TimeoutError is an OSError, RuntimeError what a transport says that was closed meanwhile, and
            # ValueError is an answer that is no number: whoever answers is not Redis.
            raise LimiterUnavailable(f"{type(error).__name__}: {error}") from error


_PAUSE = 0.5
"""Seconds in which a limiter that failed is not asked again. More than one call to it can take."""
_AT_ONCE = 16
"""Calls at once. The others wait their turn, and not for a timeout, too, if the limiter fails meanwhile."""


class CircuitBreaker:
    """A `Limiter` that asks *limiter*, and *fallback* while that is unavailable.

    Without a fallback nothing is allowed then: `acquire` and `peek` raise LimiterUnavailable, and what cannot
    be given back stays counted. After each pause one call tries whether the limiter is back, at the cost of
    its timeout. Going and coming back are logged, once each.
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
            # Whoever is to get something back has done well, and must not be refused for this.
            return

    async def clear(self) -> None:
        for each in self._all():
            await each.clear()

    async def close(self) -> None:
        for each in self._all():
            await each.close()

    def _all(self) -> list[Limiter]:
        return [each for each in (self._limiter, self._fallback) if each is not None]

    async def _ask[T](self, question: Callable[[Limiter], Awaitable[T]]) -> T:
        async with self._turns:
            if self._may_ask():
                try:
                    answer = await question(self._limiter)
                except LimiterUnavailable as error:
                    self._note_failure(error)
                else:
                    self._note_success()
                    return answer
        if self._fallback is None:
            raise LimiterUnavailable("The limiter is away, and REDIS_OUTAGE=refuse.")
        return await question(self._fallback)

    def _may_ask(self) -> bool:
        if not self._is_away:
            return True
        if time.monotonic() < self._try_again_at:
            return False
        # The one that tries; the next must not before this pause is over, too.
        self._try_again_at = time.monotonic() + _PAUSE
        return True

    def _note_failure(self, error: LimiterUnavailable) -> None:
        self._try_again_at = time.monotonic() + _PAUSE
        if not self._is_away:
            self._is_away = True
            until = "what is limited is refused" if self._fallback is None else "each process counts alone"
            logger.error("Redis is away (%s): %s until it is back", error, until)

    def _note_success(self) -> None:
        if self._is_away:
            self._is_away = False
            logger.warning("Redis is back: the limits are shared again")
