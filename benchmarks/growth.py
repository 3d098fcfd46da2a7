"""How the latency of a project's routes changes as its PostgreSQL database grows to a million accounts."""

import asyncio

from load import request, run
from peers import EMAIL, Peer, administer, say

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ADD = """
INSERT INTO users (
    id, email, hashed_password, is_active, is_verified, is_superuser, password_version, created_at, updated_at
)
SELECT
    gen_random_uuid()::text, 'user' || number || '@example.com', users.hashed_password,
    true, true, false, 0, now() - number * interval '1 second', now()
FROM users, generate_series({first}, {last}) AS number
WHERE users.email = '{email}'
"""

type Growth = dict[str, dict[int, float]]


def measure(peer: Peer, seconds: float, sizes: tuple[int, ...] = SIZES) -> Growth:
    """The median latency in milliseconds of each route with one client, by number of accounts."""
    administer(peer.database_url, f"UPDATE users SET is_superuser = true WHERE email = '{EMAIL}'")
    growth: Growth = {}
    there = 1
    for size in sizes:
        say(f"{size:,} accounts")
        administer(
            peer.database_url,
            ADD.format(first=there, last=size - 1, email=EMAIL),
            "VACUUM ANALYZE users",
        )
        there = size
        # Each size requires a new login, because the requests to the login route ended the previous session.
        headers = peer.log_in()
        routes = {
            "GET /users/me": request("GET", "/users/me", headers=headers),
            "GET /users": request("GET", "/users", headers=headers),
            "GET /users?search=…": request("GET", "/users?search=user77", headers=headers),
            "POST /users/login": peer.kind.login,
        }
        for name, data in routes.items():
            load = asyncio.run(run(peer.port, data, connections=1, seconds=seconds)).require(200)
            growth.setdefault(name, {})[size] = load.percentile(0.5)
    return growth
