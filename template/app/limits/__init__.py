"""How often something may be done: a guard for your routes (`limited`), or the limiter itself.

`app.state.limiter` counts in Redis, where REDIS_URL names one, and otherwise in this process. Template-owned;
start reading at `limiter.py`.
"""

from app.limits.limiter import (
    Limiter,
    LimiterUnavailable,
    Rate,
    cannot_be_checked,
    limited,
    too_many,
)
from app.limits.memory import MemoryLimiter
from app.settings import Settings
from app.web import App

__all__ = [
    "Limiter",
    "LimiterUnavailable",
    "MemoryLimiter",
    "Rate",
    "build_limiter",
    "install",
    "limited",
    "too_many",
]


def install(app: App) -> None:
    """Put the limiter at `app.state.limiter` and close it with the application."""
    settings = app.state.settings
    limiter = app.state.limiter = build_limiter(settings)
    app.on_shutdown(limiter.close)
    app.exception_handler(LimiterUnavailable)(cannot_be_checked)
    if settings.redis_url is not None and settings.redis_outage == "refuse":
        _check_readiness(app, limiter)


def build_limiter(settings: Settings) -> Limiter:
    """The limiter that REDIS_URL and REDIS_OUTAGE ask for. It connects when it is first used."""
    if settings.redis_url is None:
        return MemoryLimiter()
    # Not imported by who has no Redis: it takes longer than the rest of this package.
    from app.limits.redis import CircuitBreaker, RedisLimiter

    shared = RedisLimiter(
        settings.redis_url.get_secret_value(), secret=settings.secret_key.get_secret_value()
    )
    return CircuitBreaker(shared, MemoryLimiter() if settings.redis_outage == "memory" else None)


def _check_readiness(app: App, limiter: Limiter) -> None:
    """An application that counts alone works; one that refuses does not."""

    @app.readiness_check("redis")
    async def redis_answers() -> tuple[bool, str]:
        try:
            await limiter.peek("readiness", Rate(1, 1))
        except LimiterUnavailable as error:
            return False, str(error)
        return True, "ok"

    _ = redis_answers
