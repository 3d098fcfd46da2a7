"""The rate limit for passkeys, added to the table in `app/users/rate_limits.py`. Adjust the numbers as you
like."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        # A passwordless login takes two requests, and both are counted. Nobody can guess a signature, so no
        # limit per account is needed.
        "passkey_login": Limit(ip="300/10m"),
    }
)
