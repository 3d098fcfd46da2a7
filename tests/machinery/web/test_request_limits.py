"""The maximum sizes of the URL and headers. Bodies are tested in test_bodies.py."""

import pytest

TARGET = 8192


@pytest.fixture
def ask(app_with, raw):
    """`await ask(path=..., query=..., headers=...)`: the response with the default limits."""

    async def send(method="GET", path="/", query=b"", headers=(), **settings):
        web = app_with(**settings)

        @web.get("/")
        async def handler() -> int:
            return 1

        return await raw(web, method, path, query=query, headers=headers)

    return send


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/", b"a" * (TARGET - 1), 200),
        ("/", b"a" * TARGET, 414),
        ("/" + "a" * (TARGET - 1), b"", 404),
        ("/" + "a" * TARGET, b"", 414),
        ("/" + "ä" * (TARGET // 2), b"", 414),
    ],
)
async def test_a_url_has_at_most_8192_bytes(ask, path, query, status):
    assert (await ask(path=path, query=query)).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"a", b"b" * 1999)], 200),
        ([(b"a", b"b" * 2000)], 431),
        ([(b"a" * 2000, b"b")], 431),
        ([(b"ab", b"cd")] * 500, 200),
        ([(b"ab", b"cd")] * 501, 431),
    ],
    ids=["as much", "a value", "a name", "as many", "many"],
)
async def test_headers_have_at_most_max_header_size_bytes(ask, headers, status):
    assert (await ask(headers=headers, max_header_size=2000)).status == status


@pytest.mark.parametrize(
    ("path", "headers", "title"),
    [
        ("/" + "a" * TARGET, [], b"URI Too Long"),
        ("/", [(b"a", b"b" * 20_000)], b"Request Header Fields Too Large"),
    ],
)
async def test_the_refusal_is_problem_details_with_the_limit(ask, path, headers, title):
    answer = await ask(path=path, headers=headers)

    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert title in answer.body
    assert b"The maximum is " in answer.body


async def test_a_refused_head_has_no_body(ask):
    answer = await ask(method="HEAD", path="/" + "a" * TARGET)

    assert (answer.status, answer.body) == (414, b"")


async def test_the_body_is_not_read_before_the_refusal(ask):
    answer = await ask(method="POST", headers=[(b"a", b"b" * 20_000)])

    assert (answer.status, answer.received) == (431, 0)
