"""How large a request may be: MAX_HEADER_SIZE and its address here, MAX_BODY_SIZE where the body is read."""

from typing import Any

from app.web.interface import Application
from app.web.problems import problem_response

MAX_ADDRESS = 8192
"""Bytes of path and query together. RFC 9110, section 4.1, asks for 8000 at least."""


def limit_size(app: Application, *, headers: int) -> Application:
    """Answer 414 and 431 before anything else is done. *headers*: bytes of all names and values together."""

    async def layer(scope: Any, receive: Any, send: Any) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
        if len(path) + len(scope["query_string"]) > MAX_ADDRESS:
            answer = problem_response(
                414, f"The address is longer than the {MAX_ADDRESS} bytes that are accepted."
            )
        elif sum([len(name) + len(value) for name, value in scope["headers"]]) > headers:
            answer = problem_response(
                431, f"The headers are larger than the {headers} bytes that are accepted together."
            )
        else:
            answer = app
        await answer(scope, receive, send)

    return layer
