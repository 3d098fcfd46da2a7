"""The rate limit of passkeys, added to the table in `app/users/rate_limits.py`. Change the numbers freely."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        # Both requests of a login without a password. Signatures cannot be guessed, so accounts are not
        # counted.
        "passkey_login": Limit(ip="300/10m"),
    }
)
