"""The OpenAPI document names the refusal of a cookie that another site sent (checklist 35)."""

import pytest


@pytest.mark.parametrize(
    ("path", "method", "is_named"),
    [
        ("/users/logout", "post", True),
        ("/users/me/password", "post", True),
        ("/users/email-change/{token}", "post", True),
        ("/users/me", "get", False),
        ("/users/token/refresh", "post", False),
    ],
)
def test_unsafe_routes_with_a_cookie_name_403(app, path, method, is_named):
    assert ("403" in app.openapi()["paths"][path][method]["responses"]) == is_named
