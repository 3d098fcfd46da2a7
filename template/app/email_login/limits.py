"""The rate limits for login by e-mailed code, added to the table in `app/users/rate_limits.py`. Change the
numbers as you like."""

from app.users.rate_limits import LIMITS, Limit

LIMITS.update(
    {
        "request_login_code": Limit(ip="20/h", account="5/h", mailbox="5/h"),
        "login_code": Limit(ip="300/10m"),
        # Wrong codes per address, across all requests, whether or not the address has an account. Correct
        # codes are not counted.
        "wrong_login_code": Limit(account="10/15m, 50/d"),
    }
)
