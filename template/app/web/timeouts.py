"""How long a request may take: BODY_TIMEOUT and REQUEST_TIMEOUT.

One clock runs for each request. While the client sends its body it shows what is left for that, the rest of
the time what is left until the response has to begin. Once the response has begun it stands still: a stream
may last. When it runs out the request is cancelled, so that its transaction is rolled back and its connection
is given back, and the client is told. A commit that is under way then may still succeed, as always when an
response is lost.
"""

import asyncio
import logging
from typing import Any

from app.web.framework.asgi import Application, Message
from app.web.problems import problem_response

logger = logging.getLogger("app.web")


def limit_time(app: Application, *, body: float, response: float) -> Application:
    """Respond with 408 when the body takes longer than *body* seconds, 504 when everything else takes
    *response*."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        clock = _Clock(receive, send, body, response)
        try:
            async with clock.limit:
                await app(scope, clock.receive, clock.send)
        except TimeoutError:
            if clock.response_began or not clock.limit.expired():
                raise
            if clock.is_receiving:
                # What is left of the body would be taken for the next request.
                headers = {"Connection": "close"} if scope.get("http_version", "1.1") < "2" else {}
                refusal = problem_response(
                    408, f"The body took longer than {body:g} s to arrive.", headers=headers
                )
            else:
                logger.error("a %s request was given up after %g s", scope["method"], response)
                refusal = problem_response(504, "This took too long and was given up.")
            await refusal(scope, receive, send)

    return middleware


class _Clock:
    def __init__(self, receive: Any, send: Any, body: float, response: float) -> None:
        self._receive = receive
        self._send = send
        self._now = asyncio.get_running_loop().time
        self._body_left = body
        self._body_is_there = False
        self.response_began = False
        self.is_receiving = False
        self.limit = asyncio.timeout(response)

    async def receive(self) -> Message:
        if self._body_is_there or self.response_began or self.limit.expired():
            return await self._receive()
        began = self._now()
        response_ends = self.limit.when() or began
        self.is_receiving = True
        self.limit.reschedule(began + self._body_left)
        message: Message = await self._receive()
        self.is_receiving = False
        self._body_is_there = not message.get("more_body", False)
        took = self._now() - began
        self._body_left -= took
        if not self.limit.expired():
            self.limit.reschedule(response_ends + took)
        return message

    async def send(self, message: Message) -> None:
        if not self.response_began:
            if self.limit.expired():
                # The request has been cancelled and does not know yet: it learns of it here, before its
                # response has begun.
                await asyncio.sleep(0)
            else:
                self.limit.reschedule(None)
            self.response_began = True
        await self._send(message)
