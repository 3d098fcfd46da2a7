"""Cookies: any number of them, on every answer, and none that breaks out of its header."""

import pytest
from hawkapi import Request
from hawkapi.responses import JSONResponse

from app.web import Problem, delete_cookie, set_cookie


async def test_an_answer_carries_several_cookies(web, http):
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


async def test_an_error_carries_them_too(web, http):
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
async def test_what_a_cookie_cannot_hold_is_refused(web, http, name, value):
    @web.get("/")
    async def handler(request: Request) -> str:
        with pytest.raises(ValueError, match="RFC 6265"):
            set_cookie(request, name, value)
        return "refused"

    assert (await http.get("/")).json() == "refused"
