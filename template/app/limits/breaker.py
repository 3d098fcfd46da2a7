"""What happens while Redis is away: a circuit breaker between the application and its limiter."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from app.limits.limiter import Limiter, LimiterUnavailable
from app.limits.rates import Rate

logger = logging.getLogger("app.limits")

_PAUSE = 0.5
"""Seconds in which a limiter that failed is not asked again. More than one call to it can take."""
_AT_ONCE = 16
"""Calls at once. The others wait their turn, and not for a timeout, too, if the limiter fails meanwhile."""


class CircuitBreaker:
    """A `Limiter` that asks *limiter*, and *fallback* while that is unavailable.

    Without a fallback nothing is allowed then: `take` and `look` raise LimiterUnavailable, and what cannot be
    given back stays counted. After each pause one call tries whether the limiter is back, at the cost of its
    timeout. Going and coming back are logged, once each.
    """

    def __init__(self, limiter: Limiter, fallback: Limiter | None) -> None:
        self._limiter = limiter
        self._fallback = fallback
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._is_away = False
        self._try_again_at = 0.0

    async def take(self, key: str, rate: Rate) -> float:
        return await self._ask(lambda limiter: limiter.take(key, rate))

    async def look(self, key: str, rate: Rate) -> float:
        return await self._ask(lambda limiter: limiter.look(key, rate))

    async def give_back(self, key: str, rate: Rate) -> None:
        try:
            await self._ask(lambda limiter: limiter.give_back(key, rate))
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
