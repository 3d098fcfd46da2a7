"""BreachCheck: what is sent, what counts as breached, and that no password is rejected because of a server
failure.
"""

import asyncio
import gzip
import logging

import pytest

from app.users.passwords.pwned import MAX_ANSWER, BreachCheck
from tests.users.breach_server import PADDING, BreachServer, digest_of, line_of

PASSWORD = "a brand new password"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
async def server():
    async with BreachServer() as server:
        yield server


@pytest.fixture
async def check(server):
    check = BreachCheck(server.url, timeout=5)
    yield check
    await check.close()


async def never():
    await asyncio.Event().wait()


# Breached passwords


async def test_a_password_in_the_response_is_breached(server, check):
    server.body = PADDING + line_of(PASSWORD) + line_of("another")

    assert await check.knows(PASSWORD)


async def test_a_password_missing_from_the_response_is_not_breached(server, check):
    server.body = line_of("another")

    assert not await check.knows(PASSWORD)


async def test_a_line_with_the_count_0_is_padding(server, check):
    server.body = line_of(PASSWORD, count=0)

    assert not await check.knows(PASSWORD)


@pytest.mark.parametrize("change", [bytes.lower, bytes.strip, lambda line: line.replace(b"\r", b"")])
async def test_other_line_formats_are_accepted(server, check, change):
    server.body = change(line_of(PASSWORD))

    assert await check.knows(PASSWORD)


@pytest.mark.parametrize("other", ["A brand new password", "a brand new password "])
async def test_the_exact_password_is_checked(server, check, other):
    server.body = line_of(PASSWORD)

    assert not await check.knows(other)


# The request


async def test_only_five_digits_of_the_hash_are_sent(server, check):
    await check.knows(PASSWORD)

    (request,) = server.requests
    digest = digest_of(PASSWORD)
    assert request.startswith(f"GET /range/{digest[:5]} HTTP/1.1\r\n")
    assert "add-padding: true" in request.lower()
    assert digest[:6] not in request.upper()
    assert PASSWORD not in request


async def test_a_cookie_of_the_server_is_not_sent_back(server, check):
    server.headers = "set-cookie: visitor=1; path=/\r\n"

    await check.knows(PASSWORD)
    await check.knows(PASSWORD)

    assert len(server.requests) == 2
    assert "cookie" not in server.requests[1].lower()


async def test_no_log_level_reveals_the_request(server, check, caplog):
    """httpx logs the URL of every request."""
    server.body = line_of(PASSWORD)

    with caplog.at_level(logging.DEBUG):
        await check.knows(PASSWORD)

    assert "HTTP Request" in caplog.text
    assert digest_of(PASSWORD)[:5] not in caplog.text.upper()
    assert PASSWORD not in caplog.text


# Failures


@pytest.fixture
def passes_with_one_line(caplog):
    """`await passes_with_one_line(check)`: check that a password is accepted. Returns the only log line."""

    async def passes(check):
        with caplog.at_level(logging.DEBUG):
            assert await check.knows(PASSWORD) is False
        (record,) = [
            each for each in caplog.records if each.levelno >= logging.INFO and each.name[:3] == "app"
        ]
        assert record.levelno == logging.WARNING
        assert record.exc_info is None
        assert digest_of(PASSWORD)[:5] not in caplog.text.upper()
        assert PASSWORD not in caplog.text
        return record.getMessage()

    return passes


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests", "404 Not Found"])
async def test_a_server_error_is_tolerated(server, check, passes_with_one_line, status):
    server.status, server.body = status, line_of(PASSWORD)

    assert status[:3] in await passes_with_one_line(check)


async def test_a_redirect_is_not_followed(server, check, passes_with_one_line):
    server.status, server.headers = "302 Found", f"location: {server.url}elsewhere\r\n"

    assert "302" in await passes_with_one_line(check)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome to the hotel</html>",
        line_of(PASSWORD) + b"nonsense",
        digest_of(PASSWORD).encode() + b":1",
        line_of(PASSWORD).replace(b":", b" "),
        line_of(PASSWORD).replace(b"7\r", b"-7\r"),
        b"\xff\x00\xfe",
        gzip.compress(line_of(PASSWORD)),
    ],
    ids=["empty", "html", "one bad line", "whole hash", "no colon", "negative", "binary", "packed"],
)
async def test_an_invalid_response_is_tolerated(server, check, passes_with_one_line, body):
    server.body = body

    assert "the response is" in await passes_with_one_line(check)


async def test_an_endless_response_is_cut_off(server, check, passes_with_one_line):
    server.body = line_of(PASSWORD) * (MAX_ANSWER // 30)

    assert f"more than {MAX_ANSWER} bytes" in await passes_with_one_line(check)


async def test_a_compressed_response_is_never_decompressed(server, check, passes_with_one_line):
    """A kilobyte could decompress to a gigabyte."""
    server.headers = "content-encoding: gzip\r\n"
    server.body = gzip.compress(line_of(PASSWORD) * 1000)

    assert "not a list" in await passes_with_one_line(check)


@pytest.mark.parametrize("part", ["before_answer", "before_body"])
async def test_a_slow_server_times_out(server, passes_with_one_line, part):
    setattr(server, part, never)

    assert "TimeoutError" in await passes_with_one_line(BreachCheck(server.url, timeout=0.2))


async def test_a_broken_connection_is_tolerated(server, check, passes_with_one_line):
    server.headers = "content-length: 100000\r\n"

    assert "ProtocolError" in await passes_with_one_line(check)


async def test_an_unreachable_server_is_tolerated(server, check, passes_with_one_line):
    await server.__aexit__()

    assert "ConnectError" in await passes_with_one_line(check)


async def test_the_check_works_again_after_an_outage(server, check):
    server.body, server.status = line_of(PASSWORD), "503 Service Unavailable"
    during = await check.knows(PASSWORD)
    server.status = "200 OK"

    assert (during, await check.knows(PASSWORD)) == (False, True)
