"""Rate limits: a guard for your routes (`limited`) and the limiter itself.

`app.state.limiter` counts requests in Redis if REDIS_URL is set, otherwise in this process. Template-owned.
Start reading in `limiter.py`.
"""

from typing import TYPE_CHECKING, cast

from app.limits.limiter import (
    Limiter,
    LimiterUnavailable,
    Rate,
    Unlimited,
    cannot_be_checked,
    limited,
    too_many,
)
from app.limits.memory import MemoryLimiter
from app.settings import Settings
from app.web import App
from app.web.health import DEGRADED

if TYPE_CHECKING:
    from app.limits.redis import CircuitBreaker

__all__ = [
    "Limiter",
    "LimiterUnavailable",
    "MemoryLimiter",
    "Rate",
    "Unlimited",
    "build_limiter",
    "install",
    "limited",
    "too_many",
]


def install(app: App) -> None:
    """Set `app.state.limiter`, and close it on shutdown."""
    settings = app.state.settings
    limiter = app.state.limiter = build_limiter(settings)
    app.on_shutdown(limiter.close)
    app.exception_handler(LimiterUnavailable)(cannot_be_checked)
    if settings.rate_limits and settings.redis_url is not None:
        _check_readiness(app, cast("CircuitBreaker", limiter))


def build_limiter(settings: Settings) -> Limiter:
    """The limiter selected by RATE_LIMITS, REDIS_URL and REDIS_OUTAGE. It connects on first use."""
    if not settings.rate_limits:
        return Unlimited()
    if settings.redis_url is None:
        return MemoryLimiter()
    # Imported here so that applications without Redis start faster.
    from app.limits.redis import CircuitBreaker, RedisLimiter

    shared = RedisLimiter(
        settings.redis_url.get_secret_value(), secret=settings.secret_key.get_secret_value()
    )
    return CircuitBreaker(shared, MemoryLimiter() if settings.redis_outage == "memory" else None)


def _check_readiness(app: App, limiter: "CircuitBreaker") -> None:
    """Add the readiness check. While Redis is down, REDIS_OUTAGE decides whether limited requests can be
    served."""

    @app.readiness_check("redis")
    async def redis_responds() -> tuple[bool, str]:
        try:
            await limiter.peek("readiness", Rate(1, 1))
        except LimiterUnavailable as error:
            return False, str(error)
        return (False, DEGRADED) if limiter.is_away else (True, "ok")

    _ = redis_responds
