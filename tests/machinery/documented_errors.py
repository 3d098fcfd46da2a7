"""Pytest plugin (`-p tests.documented_errors`): checks that every error response has a code that its route
documents.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from app.web import App
from app.web.problems import PROBLEM_JSON, default_code

_documents: WeakKeyDictionary[App, dict[str, Any]] = WeakKeyDictionary()


@pytest.fixture(scope="session", autouse=True)
def documented_errors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        respond = App._respond

        async def checked(self: App, scope: Any, receive: Any, send: Any) -> None:
            body, start = b"", {}

            async def noting(message: Any) -> None:
                nonlocal body, start
                await send(message)
                if message["type"] == "http.response.start":
                    start = message
                else:
                    body += message.get("body", b"")

            await respond(self, scope, receive, noting)
            if dict(start["headers"]).get(b"content-type") == PROBLEM_JSON.encode():
                check(self, scope, json.loads(body))

        patch.setattr(App, "_respond", checked)
        yield


def check(app: App, scope: Any, problem: dict[str, Any]) -> None:
    code, status = problem["code"], problem["status"]
    assert isinstance(code, str)
    route = scope.get("route")
    if route is None or not route.include_in_schema or not route.handler.__module__.startswith("app."):
        return
    if app not in _documents:
        _documents[app] = app.openapi()
    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path).rstrip("/") or "/"
    responses = _documents[app]["paths"][path][scope["method"].lower()]["responses"]
    if str(status) in responses:
        content = responses[str(status)]["content"][PROBLEM_JSON]
        codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
    else:
        codes = [default_code(status), *responses["default"]["description"].split("`")]
    assert code in codes, f"{scope['method']} {route.path} does not document {status} {code}"
