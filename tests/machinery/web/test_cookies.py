"""Cookies: every response can set any number, and none can break out of its header. Request cookies have
exactly the names that browsers use.
"""

from typing import Annotated, Any

import pytest
from hawkapi import Depends, Request
from hawkapi.responses import JSONResponse
from hawkapi.validation.constraints import Cookie

from app.web import Problem, delete_cookie, set_cookie


async def test_a_response_can_set_several_cookies(web, http):
    @web.get("/")
    async def handler(request: Request) -> JSONResponse:
        set_cookie(request, "first", "1")
        set_cookie(request, "second", "2", max_age=60, secure=False, http_only=False, same_site="Strict")
        return JSONResponse({})

    answer = await http.get("/")

    assert answer.headers.get_list("set-cookie") == [
        "first=1; Path=/; SameSite=Lax; Secure; HttpOnly",
        "second=2; Path=/; SameSite=Strict; Max-Age=60",
    ]


async def test_an_error_can_set_several_cookies(web, http):
    @web.get("/")
    async def handler(request: Request) -> None:
        delete_cookie(request, "session")
        raise Problem(401, "Log in.")

    answer = await http.get("/")

    assert answer.status_code == 401
    assert answer.headers["set-cookie"] == "session=; Path=/; SameSite=Lax; Max-Age=0; Secure; HttpOnly"


async def test_cookies_belong_to_one_request(web, http):
    @web.get("/{name}")
    async def handler(request: Request, name: str) -> None:
        set_cookie(request, name, "1")

    await http.get("/first")

    assert (await http.get("/second")).headers.get_list("set-cookie") == [
        "second=1; Path=/; SameSite=Lax; Secure; HttpOnly"
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "1"), ("a", "1; Domain=x"), ("a", "1\r\nX: y"), ("", "1"), ("ä", "1")]
)
async def test_invalid_cookie_values_are_refused(web, http, name, value):
    @web.get("/")
    async def handler(request: Request) -> str:
        with pytest.raises(ValueError, match="RFC 6265"):
            set_cookie(request, name, value)
        return "refused"

    assert (await http.get("/")).json() == "refused"


@pytest.mark.parametrize("path", ["/; Domain=x", "/\r\nX: y", "/\n", "/\x7f", "/ä"])
async def test_invalid_cookie_paths_are_refused(web, http, path):
    @web.get("/")
    async def handler(request: Request) -> str:
        with pytest.raises(ValueError, match="RFC 6265"):
            set_cookie(request, "a", "1", path=path)
        return "refused"

    assert (await http.get("/")).json() == "refused"


# Reading


@pytest.fixture
def cookies_in(web, raw):
    """`await cookies_in(b"a=1", b"b=2")`: what a handler sees in a request with these Cookie headers."""
    found = []

    @web.get("/")
    async def handler(request: Request) -> None:
        found.append(request.cookies)

    async def ask(*fields):
        answer = await raw(web, "GET", "/", headers=[(b"cookie", each) for each in fields])
        assert answer.status == 204
        return found[-1]

    return ask


@pytest.mark.parametrize(
    ("field", "cookies"),
    [
        (b"", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1; b=2", {"a": "1", "b": "2"}),
        (b"a=1;b=2", {"a": "1", "b": "2"}),
        (b" \ta \t= \t1\t ;", {"a": "1"}),
        (b"a=1=2==", {"a": "1=2=="}),
        (b'a="1"', {"a": "1"}),
        (b'a="', {"a": '"'}),
        (b"a=", {"a": ""}),
        (b"a", {}),
        (b"; a=1;; ;", {"a": "1"}),
        (b"a=\xe9", {"a": "\xe9"}),
        (b"A=1; a=2", {"A": "1", "a": "2"}),
    ],
)
async def test_the_cookies_of_a_request_are_read(cookies_in, field, cookies):
    assert await cookies_in(field) == cookies


@pytest.mark.parametrize(
    "space", [b"\x85", b"\xa0", b"\x0b", b"\x0c", b"\x1c", b"\x1f", b"\xc2\xa0", b"\xc2\x85"]
)
async def test_only_spaces_and_tabs_are_stripped_from_a_name(cookies_in, space):
    """HawkAPI 0.2.0 strips more. To a browser, the longer name is a different name that any host may set."""
    found = await cookies_in(space + b"__Host-a=1; __Host-b" + space + b"=2")

    assert set(found) == {space.decode("latin-1") + "__Host-a", "__Host-b" + space.decode("latin-1")}


async def test_the_first_cookie_of_a_name_wins(cookies_in):
    assert await cookies_in(b"a=1; a=2", b"a=3") == {"a": "1"}


async def test_several_cookie_headers_are_one_list(cookies_in):
    """HTTP/2 clients send each cookie in a separate header (RFC 9113, section 8.2.3)."""
    assert await cookies_in(b"a=1", b"b=2; c=3", b"") == {"a": "1", "b": "2", "c": "3"}


HOSTILE = b"\xa0a=2"


async def test_parameters_dependencies_and_errors_read_the_same_cookies(web, raw):
    seen = []

    async def dependency(request: Request) -> None:
        seen.append(request.cookies.get("a"))

    @web.exception_handler(LookupError)
    def answer(request, error):
        seen.append(request.cookies.get("a"))
        return JSONResponse({})

    @web.get("/")
    async def handler(
        looked: Annotated[None, Depends(dependency)], a: Annotated[str | None, Cookie()] = None
    ) -> Any:
        seen.append(a)
        raise LookupError

    await raw(web, "GET", "/", headers=[(b"cookie", HOSTILE)])

    assert seen == [None, None, None]


async def test_middleware_error_handlers_read_the_same_cookies(web, raw):
    seen = []

    class Failing:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            raise LookupError

    @web.exception_handler(LookupError)
    def answer(request, error):
        seen.append(request.cookies.get("a"))
        return JSONResponse({})

    web.add_middleware(Failing)
    await raw(web, "GET", "/", headers=[(b"cookie", HOSTILE)])

    assert seen == [None]
