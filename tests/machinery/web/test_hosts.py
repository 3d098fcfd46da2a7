"""ALLOWED_HOSTS: other host names are rejected without revealing the allowed ones."""

import pytest
from hawkapi import Request

NAMES = ["app.example.org", "192.0.2.1", "::1"]


@pytest.fixture
def status_under(app_with, raw):
    """`await status_under(b"name", ...)`: the status of a request with these Host headers."""

    async def ask(*hosts, path="/", allowed=NAMES, headers=(), **settings):
        web = app_with(allowed_hosts=allowed, **settings)

        @web.get("/")
        @web.get("/livez")
        @web.get("/readyz")
        @web.get("/healthz")
        async def handler(request: Request) -> int:
            return 1

        sent = [(b"host", host) for host in hosts]
        return (await raw(web, "GET", path, headers=[*sent, *headers])).status

    return ask


@pytest.mark.parametrize(
    "host",
    [
        b"app.example.org",
        b"app.example.org:443",
        b"app.example.org:",
        b"APP.Example.ORG:8000",
        b"192.0.2.1",
        b"192.0.2.1:8000",
        b"[::1]",
        b"[::1]:8000",
        b"[0:0:0:0:0:0:0:1]",
    ],
)
async def test_a_served_host_name_is_accepted(status_under, host):
    assert await status_under(host) == 200


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"evil.example",
        b"example.org",
        b"sub.app.example.org",
        b"app.example.org.evil.example",
        b"app.example.org:80:80",
        b"app.example.org:x",
        b"app.example.org@evil.example",
        b"evil.example:app.example.org",
        b"app.example.org/",
        b"app.example.org ",
        b"::1",
        b"[::1",
        b"[::1]x",
        b"[::2]",
        b"[]",
        b"[...]",
        b"\xff\xfe",
    ],
)
async def test_any_other_host_name_is_refused(status_under, host):
    assert await status_under(host) == 400


async def test_a_request_without_a_host_is_refused(status_under):
    assert await status_under() == 400


@pytest.mark.parametrize("allowed", [NAMES, []])
@pytest.mark.parametrize("second", [b"app.example.org", b"evil.example"])
async def test_two_host_headers_are_refused(status_under, allowed, second):
    """RFC 9112, section 3.2: a proxy might use one header and this application the other."""
    assert await status_under(b"app.example.org", second, allowed=allowed) == 400


async def test_the_served_host_names_are_not_revealed(app_with, connected):
    async with connected(app_with(allowed_hosts=NAMES)) as client:
        answer = await client.get("/")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "invalid_host",
        "detail": "This application does not serve this host name.",
    }


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
@pytest.mark.parametrize("hosts", [(), (b"10.0.0.7:8000",), (b"a", b"b")])
async def test_load_balancers_may_use_the_ip_address(status_under, path, hosts):
    assert await status_under(*hosts, path=path) == 200


@pytest.mark.parametrize("host", [b"anything.example", b"10.0.0.7:8000"])
async def test_without_host_names_any_is_accepted(status_under, host):
    assert await status_under(host, allowed=[]) == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [(b"evil.example", 400), (b"app.example.org", 200)],
)
async def test_forwarded_host_headers_are_ignored(status_under, host, status):
    forwarded = [(b"x-forwarded-host", b"app.example.org"), (b"x-forwarded-host", b"evil.example")]
    proxies = {"trusted_proxies": "203.0.113.9"}

    assert await status_under(host, headers=forwarded, **proxies) == status
