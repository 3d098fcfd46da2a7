"""An exception outside an endpoint also becomes a response from the application, not from the server."""

import pytest
from hawkapi.responses import StreamingResponse

from app.web import Problem


@pytest.fixture
def raising(web):
    """`raising(error)`: add a middleware that raises it."""

    def add(error):
        class Raising:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                raise error

        web.add_middleware(Raising)

    return add


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_raising_middleware_is_500_and_logged(web, raising, raw, caplog, method):
    raising(RuntimeError("not for everybody"))

    answer = await raw(web, method, "/")

    assert answer.status == 500
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert b"not for everybody" not in answer.body
    assert caplog.text.count("Traceback") == 1
    assert "RuntimeError: not for everybody" in caplog.text


async def test_a_middleware_may_refuse_with_a_problem(raising, http):
    raising(Problem(403, "Not today.", headers={"X-Reason": "holiday"}))

    answer = await http.get("/")

    assert (answer.status_code, answer.json()["detail"]) == (403, "Not today.")
    assert answer.headers["x-reason"] == "holiday"


async def test_an_exception_handler_also_handles_middleware_errors(web, raising, http):
    @web.exception_handler(LookupError)
    def answer(request, error):
        raise Problem(404, "Not here.")

    raising(KeyError("a"))

    assert (await http.get("/")).status_code == 404


async def test_an_error_in_the_application_itself_is_500(web, raw, monkeypatch, caplog):
    def broken(path, method):
        raise RuntimeError("no tree")

    monkeypatch.setattr(web._tree, "lookup", broken)

    answer = await raw(web, "GET", "/")

    assert answer.status == 500
    assert "RuntimeError: no tree" in caplog.text


async def test_a_broken_stream_is_cut_off_and_logged(web, raw, caplog):
    """If the response ended normally, the client would consider it complete."""

    @web.get("/")
    async def handler() -> StreamingResponse:
        async def chunks():
            yield b"one"
            raise RuntimeError("no more")

        return StreamingResponse(chunks())

    with pytest.raises(RuntimeError, match="no more"):
        await raw(web, "GET", "/")

    assert "an error occurred after the response had started" in caplog.text
    assert "RuntimeError: no more" in caplog.text
