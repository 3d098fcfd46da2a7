"""What a limiter does, whatever it keeps its counts in."""

from hashlib import blake2b
from typing import Protocol

from app.limits.rates import Rate


class LimiterUnavailable(Exception):
    """Nobody can tell at the moment whether something is allowed."""


class Limiter(Protocol):
    """Counts by key. One key has a bucket of its own for each rate that it is used with.

    A bucket holds `rate.count` at most, loses one with each `take` and is filled evenly (a token bucket).

    Raises, each method but `close`:
        LimiterUnavailable: the limiter cannot tell, and nothing was counted.
    """

    async def take(self, key: str, rate: Rate) -> float:
        """Count one and return 0.0; or, without counting, the seconds until the next one is allowed."""
        ...

    async def look(self, key: str, rate: Rate) -> float:
        """What `take` would say, without counting."""
        ...

    async def give_back(self, key: str, rate: Rate) -> None:
        """Undo one `take`: it was not what the limit is against. A bucket is never more than full."""
        ...

    async def clear(self) -> None:
        """Forget everything; for tests."""
        ...

    async def close(self) -> None:
        """Give back what the limiter holds open."""
        ...


def bucket_name(key: str, rate: Rate, secret: bytes = b"") -> str:
    """The name of a bucket: short however long *key* is, and with a *secret* not even to be guessed at.

    Keys hold e-mail addresses, which are no business of whoever can read Redis.
    """
    text = f"{rate.count}/{rate.interval} {key}".encode(errors="surrogatepass")
    return blake2b(text, key=secret, digest_size=16).hexdigest()
