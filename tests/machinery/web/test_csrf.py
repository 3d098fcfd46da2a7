"""Cross-site requests are rejected unless they only read. ASVS 3.5.1 to 3.5.3."""

from typing import Any

import pytest
from hawkapi import Request

from app.settings import Settings
from app.web import App, Problem
from app.web.csrf import require_same_origin

FRONT_END, FOREIGN = "https://www.example.com", "https://front.example"


def check(method: str, headers: dict[str, str], base_url: str = "https://app.example.com") -> None:
    app = App(title="Test", version="1", description="", max_body_size=1000)
    app.state.settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        secret_key="0123456789abcdef" * 4,  # type: ignore[arg-type]
        base_url=base_url,
        cors_origins=[FRONT_END, FOREIGN],
    )
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def receive() -> Any:
        raise AssertionError("nobody has to read the body for this")

    require_same_origin(
        Request({"type": "http", "method": method, "path": "/", "headers": raw, "app": app}, receive)
    )


def status(*arguments: Any) -> int:
    """The status of the response: 200 if the request is accepted."""
    try:
        check(*arguments)
    except Problem as problem:
        return problem.status_code
    return 200


HOSTILE = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": "same-origin, cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com"},
    {"Origin": ""},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://app.example.com"},
    {"Origin": "https://app.example.com:8443"},
    {"Origin": "https://app.example.com.evil.example"},
    {"Origin": "https://app.example.com/"},
    {"Origin": "https://app.example.com@evil.example"},
    {"Origin": "https://example.com"},
    {"Origin": "https://www.app.example.com"},
    {"Origin": "app.example.com"},
    {"Origin": "https://app.example.com https://evil.example"},
    {"Referer": "https://app.example.com/login"},
    {"Host": "evil.example", "Origin": "https://evil.example"},
    {"X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", HOSTILE, ids=str)
def test_cross_site_requests_are_refused(headers: dict[str, str]):
    """Checklist 35; ASVS 3.5.1."""
    assert status("POST", headers) == 403


@pytest.mark.parametrize(
    ("origin", "site", "expected"),
    [
        (FRONT_END, "same-site", 200),
        (FRONT_END, "cross-site", 403),
        # Without the header, nothing shows whether the request comes from the same site.
        (FRONT_END, None, 403),
        (FOREIGN, "cross-site", 403),
        (FOREIGN, None, 403),
        ("https://other.example.com", "same-site", 403),
        (None, "same-site", 403),
    ],
)
def test_only_a_front_end_of_the_same_site_may_use_the_cookie(
    origin: str | None, site: str | None, expected: int
):
    """Checklist 35. CORS_ORIGINS must list its origin, and the browser must report that it is same-site."""
    headers = {"Origin": origin, "Sec-Fetch-Site": site}

    assert status("POST", {name: value for name, value in headers.items() if value}) == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"])
def test_every_unsafe_method_is_checked(method: str):
    assert status(method, {"Origin": "https://evil.example"}) == 403
    assert status(method, {"Origin": "https://app.example.com"}) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_needs_no_origin(method: str):
    assert status(method, {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://app.example.com"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://app.example.com"},
    ],
    ids=str,
)
def test_same_site_requests_are_accepted(headers: dict[str, str]):
    assert status("POST", headers) == 200


def test_a_browser_using_another_host_name_is_accepted():
    """`Sec-Fetch-Site` refers to the requested URL, whatever BASE_URL is."""
    assert status("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}) == 200


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://app.example.com/under/a/path", "https://app.example.com"),
        ("https://App.Example.com", "https://app.example.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
    ],
)
def test_the_origin_is_compared_with_the_one_of_base_url(base_url: str, origin: str):
    """Browsers write an origin in lower case, without a path or the default port."""
    assert status("POST", {"Origin": origin}, base_url) == 200
    assert status("POST", {"Origin": f"{origin}9"}, base_url) == 403


async def test_the_response_explains_the_refusal(client: Any):
    answer = await client.post(
        "/users/login/cookie",
        json={"email": "ada@example.com", "password": "x"},
        headers={"Origin": "https://evil.example"},
    )

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers
