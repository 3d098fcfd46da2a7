"""Every limit is declared on its route, names a row and is enforced over HTTP (Checklist 9, 10, 12)."""

from datetime import UTC, datetime

import pytest

from app.users.dependencies import limited_by, superuser, within_wrong_passwords
from app.users.rate_limits import LIMITS, Limit, Limits

OWN_LIMITS = {
    "wrong_password",
    "notice",
    "session_limit",
    "guessing_blocked",
    "link_refused",
    "cross_site_refused",
}
"""Rows for limits that are not declared on a route."""
UNLIMITED = {("POST", "/users/logout"): "ends a session and reveals nothing"}
"""Unsafe routes without a limit, and the reason for each."""

REQUESTS = {
    "register": ("POST", "/users/register"),
    "login": ("POST", "/users/login"),
    "login_with_cookie": ("POST", "/users/login/cookie"),
    "refresh": ("POST", "/users/token/refresh"),
    "confirm": ("POST", "/users/me/confirm"),
    "change_password": ("POST", "/users/me/password"),
    "update_profile": ("PATCH", "/users/me"),
    "request_verify": ("POST", "/users/verify/request"),
    "verify": ("POST", "/users/verify"),
    "request_password_reset": ("POST", "/users/password-reset/request"),
    "reset_password": ("POST", "/users/password-reset"),
    "request_email_change": ("POST", "/users/me/email"),
    "change_email": ("POST", "/users/email-change"),
    "accept_invitation": ("POST", "/users/invitation"),
    "export": ("GET", "/users/me/export"),
}
"""A request for each row. The request's content does not matter, because the limit is checked first."""


def users_routes(app):
    return [each for each in app.endpoints if each.route.path.startswith("/users")]


def rows_of(endpoint):
    return {row for each in endpoint.dependencies() if (row := getattr(each, "limit", None))}


def test_an_undefined_limit_fails_at_import():
    with pytest.raises(LookupError, match="There is no limit 'exprot'"):
        limited_by("exprot")


def test_every_limit_is_declared_by_a_route(app, build_app):
    private = build_app(registration="private")

    declared = {row for each in (*users_routes(app), *users_routes(private)) for row in rows_of(each)}

    # You may add a row of your own before its route exists.
    assert declared >= set(REQUESTS)


@pytest.mark.parametrize("registration", ["open", "private"])
def test_every_post_route_is_limited_or_for_superusers(build_app, registration):
    """Renaming a handler does not change its limits, because limits belong to routes."""
    app = build_app(registration=registration)

    unlimited = {
        ("POST", each.route.path)
        for each in users_routes(app)
        if "POST" in each.route.methods and not rows_of(each) and superuser not in each.dependencies()
    }

    assert unlimited == set(UNLIMITED)


def test_every_route_that_takes_a_password_checks_the_guessing_limit_first(app):
    """Checklist 9."""
    looking = {each.route.path for each in users_routes(app) if within_wrong_passwords in each.dependencies()}

    assert looking == {"/users/login", "/users/login/cookie"}


@pytest.mark.parametrize("row", sorted(REQUESTS))
async def test_each_limit_is_enforced(client, manager, app, make_user, login, set_clock, row):
    """Checklist 10 and 12: with a limit of two an hour, the third request gets a 429 with Retry-After."""
    headers = login(await make_user()) | {"Origin": "http://test"}
    set_clock(datetime(2030, 5, 1, 12, tzinfo=UTC))
    manager.limits = Limits(app.state.limiter, {row: Limit(ip="2/h")})
    method, path = REQUESTS[row]

    responses = [await client.request(method, path, headers=headers) for _ in range(3)]

    assert 429 not in [each.status_code for each in responses[:2]]
    assert responses[2].status_code == 429
    assert responses[2].headers["retry-after"] == "1800"
    assert responses[2].headers["content-type"] == "application/problem+json"


def test_every_limit_has_a_request_in_this_test():
    assert set(REQUESTS) <= set(LIMITS) - OWN_LIMITS


async def test_routes_with_the_same_limit_share_its_counts(client, manager, app, set_clock):
    """Checklist 10: tokens in the path and tokens in the body count toward the same limit."""
    set_clock(datetime(2030, 5, 1, 12, tzinfo=UTC))
    manager.limits = Limits(app.state.limiter, {"verify": Limit(ip="1/h")})

    first = await client.post("/users/verify/x")
    second = await client.post("/users/verify", json={"token": "x"})

    assert (first.status_code, second.status_code) == (400, 429)


async def test_an_empty_table_limits_nothing(client, manager, app, make_user):
    manager.limits = Limits(app.state.limiter, {})
    user = {"email": (await make_user()).email, "password": "a wrong password"}

    statuses = [(await client.post("/users/login", json=user)).status_code for _ in range(15)]

    assert statuses == [401] * 15


# Your own tests go below; template updates never touch them.
