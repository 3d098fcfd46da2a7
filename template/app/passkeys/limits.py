"""The rate limit of passkeys. It joins the table in `app/users/rate_limits.py`. Change the numbers freely."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        # Both requests of a login without a password. Signatures cannot be guessed, so no account is counted.
        "passkey_login": Limit(ip="300/10m"),
    }
)
