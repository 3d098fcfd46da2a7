"""Headers of every response, whatever creates it (ASVS 3.4)."""

import pytest
from hawkapi import Request
from hawkapi.responses import JSONResponse, RedirectResponse
from hawkapi.responses.response import Response

from app.web import Problem
from app.web.html import html_page

PRODUCTION = {
    "environment": "production",
    "base_url": "https://test",
    "mail_backend": "smtp",
    "mail_sender": "app@example.com",
    "smtp_host": "smtp.example.com",
    "smtp_security": "starttls",
}


@pytest.fixture
def answering(web):
    """An application with one route for each kind of response."""

    @web.get("/200")
    async def success() -> dict[str, int]:
        return {"a": 1}

    @web.get("/204")
    async def nothing() -> None: ...

    @web.get("/302")
    async def elsewhere() -> RedirectResponse:
        return RedirectResponse("/200", status_code=302)

    @web.get("/409")
    async def conflict() -> None:
        raise Problem(409, "Taken.")

    @web.get("/500")
    async def broken() -> None:
        raise RuntimeError

    @web.post("/405")
    async def posted() -> None: ...

    return web


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 302, 404, 405, 409, 500])
async def test_every_response_has_the_security_headers(answering, raw, method, status):
    answer = await raw(answering, method, f"/{status}")

    assert answer.status == status
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert answer.headers[b"referrer-policy"] == b"no-referrer"
    assert answer.headers[b"cross-origin-opener-policy"] == b"same-origin"
    assert answer.headers[b"content-security-policy"] == (
        b"default-src 'none'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize("path", ["/a\0b", "/" + "a" * 9000])
async def test_early_refusals_have_the_security_headers(app_with, raw, path):
    answer = await raw(app_with(), "GET", path)

    assert answer.status in (400, 414)
    assert answer.headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("name", ["Content-Security-Policy", "content-security-policy"])
async def test_headers_set_by_a_handler_are_kept(web, http, name):
    @web.get("/")
    async def handler() -> Response:
        return Response("x", headers={name: "default-src 'self'", "Referrer-Policy": "origin"})

    answer = await http.get("/")

    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers.get_list("referrer-policy") == ["origin"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_page_allows_only_its_own_style(web, http):
    @web.get("/")
    async def handler(request: Request) -> Response:
        return html_page(request, "page.html", title="Title", body="Text")

    answer = await http.get("/")
    [policy] = answer.headers.get_list("content-security-policy")
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))

    assert rules.pop("style-src").startswith("'sha256-")
    assert rules == {
        "default-src": "'none'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "object-src": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (PRODUCTION, "max-age=31536000"),
        (PRODUCTION | {"hsts_subdomains": True}, "max-age=31536000; includeSubDomains"),
        (PRODUCTION | {"hsts_max_age": 300}, "max-age=300"),
        (PRODUCTION | {"hsts_max_age": 0}, None),
        ({"environment": "development"}, None),
        ({"environment": "test"}, None),
    ],
)
async def test_only_production_sends_hsts(app_with, connected, values, expected):
    """ASVS 3.4.1."""
    async with connected(app_with(**values)) as client:
        answer = await client.get("/nowhere")

    assert answer.status_code == 404
    assert answer.headers.get("strict-transport-security") == expected


async def test_no_header_is_duplicated(web, raw):
    @web.get("/")
    async def handler() -> JSONResponse:
        return JSONResponse({}, headers={"Vary": "Accept"})

    answer = await raw(web, "GET", "/")
    names = [name for name, _ in answer.messages[0]["headers"]]

    assert len(names) == len(set(names))
