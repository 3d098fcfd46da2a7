"""Limits counted in this process's memory. With N processes, clients can send N times as many requests.

The algorithm is the token bucket from hawkapi-ratelimit 0.1. It is reimplemented here because the library
cannot peek or refund, forgets buckets when a client fills its table, and never reloads its Redis script. A
bucket is stored as one number, the time at which it will be full (the generic cell rate algorithm, ITU-T
I.371), so a full bucket does not need to be stored.
"""

import heapq
import secrets

from app import clock
from app.limits.limiter import Rate, bucket_name

_SWEPT_AT_ONCE = 16
"""The number of buckets that each call checks for removal. This keeps every call short."""
OVERFLOW = 4096
"""The number of buckets per rate that new keys share while the table is full."""


class MemoryLimiter:
    """A `Limiter` that holds up to *max_keys* buckets (about 200 bytes each).

    A bucket is removed only when it is full again, so filling the table does not reset any count. While the
    table is full, new keys share `OVERFLOW` buckets per rate. A hash with *secret*, which is random by
    default, assigns each key to one of these buckets. A client that empties a shared bucket affects few other
    clients and cannot choose them (CWE-400).
    """

    def __init__(self, max_keys: int = 100_000, *, secret: bytes | None = None) -> None:
        self._max_keys = max_keys
        self._secret = secret if secret is not None else secrets.token_bytes(32)
        self._full_at: dict[str, int] = {}
        # One entry per bucket: when to check whether the bucket is full. If it is not, the time is updated.
        self._next_full: list[tuple[int, str]] = []

    def __len__(self) -> int:
        """The number of buckets held, including shared ones. It may exceed *max_keys*."""
        return len(self._full_at)

    async def acquire(self, key: str, rate: Rate) -> float:
        return self._count(key, rate, 1)

    async def peek(self, key: str, rate: Rate) -> float:
        return self._count(key, rate, 0)

    async def refund(self, key: str, rate: Rate) -> None:
        self._count(key, rate, -1)

    async def clear(self) -> None:
        self._full_at.clear()
        self._next_full.clear()

    async def close(self) -> None:
        await self.clear()

    def _count(self, key: str, rate: Rate, cost: int) -> float:
        """Take *cost* tokens (0 peeks, -1 refunds) and return the seconds to wait."""
        now = round(clock.now().timestamp() * 1_000_000)
        self._forget_full_ones(now)
        name = self._bucket_of(key, rate)
        # Even if the clock is set back, no wait is longer than it would be for an empty bucket.
        full_at = min(self._full_at.get(name, now), now + rate.count * rate.interval)
        full_at = max(full_at, now)
        wait = full_at - now - (rate.count - 1) * rate.interval
        if cost == 0 or (cost > 0 and wait > 0):
            return max(wait, 0) / 1_000_000
        if cost > 0 or name in self._full_at:
            self._keep(name, full_at + cost * rate.interval)
        return 0.0

    def _bucket_of(self, key: str, rate: Rate) -> str:
        name = bucket_name(key, rate)
        if name in self._full_at or len(self._full_at) < self._max_keys:
            return name
        number = int(bucket_name(key, rate, self._secret), 16) % OVERFLOW
        return f"shared {number} {rate.count}/{rate.interval}"

    def _keep(self, name: str, full_at: int) -> None:
        if name not in self._full_at:
            heapq.heappush(self._next_full, (full_at, name))
        self._full_at[name] = full_at

    def _forget_full_ones(self, now: int) -> None:
        for _ in range(_SWEPT_AT_ONCE):
            if not self._next_full or self._next_full[0][0] > now:
                return
            name = self._next_full[0][1]
            if self._full_at[name] > now:
                heapq.heapreplace(self._next_full, (self._full_at[name], name))
            else:
                heapq.heappop(self._next_full)
                del self._full_at[name]
