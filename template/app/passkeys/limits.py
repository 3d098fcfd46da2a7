"""The rate limit for passkeys, added to the table in `app/users/rate_limits.py`. Change the numbers as you
like."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        # Counts both requests of a passwordless login. Signatures cannot be guessed, so there is no limit per
        # account.
        "passkey_login": Limit(ip="300/10m"),
    }
)
