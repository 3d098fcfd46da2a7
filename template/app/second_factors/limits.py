"""The rate limits for second factors, added to the table in `app/users/rate_limits.py`. Adjust the numbers as
you like."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        "second_factor": Limit(ip="300/10m"),
        "change_factors": Limit(ip="60/10m"),
        # Wrong answers per account and factor, across all logins and sessions. Correct answers are not
        # counted.
        "wrong_factor": Limit(account="10/15m, 50/d"),
    }
)
