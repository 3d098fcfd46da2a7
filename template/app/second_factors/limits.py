"""The rate limits of second factors. They join the table in `app/users/rate_limits.py`. Change the numbers
freely."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        "second_factor": Limit(ip="300/10m"),
        "change_factors": Limit(ip="60/10m"),
        # Wrong answers for each account and factor, in all logins and sessions together. Right ones are not
        # counted.
        "wrong_factor": Limit(account="10/15m, 50/d"),
    }
)
