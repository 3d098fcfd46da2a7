"""ASGI types (https://asgi.readthedocs.io)."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Any, Any, Any], Awaitable[None]]
"""A callable that takes scope, receive and send. Middleware wraps one application in another."""

BODY_CLOCK = "app.body_clock"
"""The scope key for the timer that limits how long receiving the body may take (`app/web/middleware.py`)."""
