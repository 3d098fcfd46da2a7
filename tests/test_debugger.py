"""The debugger configured in `.vscode/launch.json` stops in a request under `app dev`, whose worker is
another process.

A Debug Adapter Protocol client plays the role of the editor.
"""

import json
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import httpx
import pytest
from conftest import Render, clean_environment, environment_of, free_port, wait_until

DEBUGPY = "debugpy==1.8.22"
FILE = "app/web/health.py"
LINE = '    return Health("alive")'
"""The line with the breakpoint, which is in a route."""
HOW = {"adapterID": "tests", "pathFormat": "path", "linesStartAt1": True, "columnsStartAt1": True}

pytestmark = pytest.mark.minutes


class Editor:
    """Continues the program whenever it stops, and adds the line to `stops`."""

    def __init__(self) -> None:
        self.stops: queue.Queue[int] = queue.Queue()

    def debug(self, reader: IO[bytes], writer: IO[bytes], command: str, arguments: dict[str, object]) -> None:
        """Start a debugging session in a thread, for the program and for each process that it starts."""
        session = threading.Thread(target=self._listen, args=(reader, writer), daemon=True)
        session.start()
        send(writer, "initialize", HOW)
        send(writer, command, arguments)

    def _listen(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        for message in messages(reader):
            body = message.get("body") or {}
            match message.get("event") or message.get("command"):
                case "initialized":
                    send(writer, "configurationDone", {})
                case "debugpyAttach":
                    child = socket.create_connection((body["connect"]["host"], body["connect"]["port"]))
                    self.debug(child.makefile("rb"), child.makefile("wb"), "attach", body)
                case "stopped":
                    send(writer, "stackTrace", {"threadId": body["threadId"], "levels": 1})
                    send(writer, "continue", {"threadId": body["threadId"]})
                case "stackTrace" if body:
                    self.stops.put(body["stackFrames"][0]["line"])
                case _:
                    pass


def messages(reader: IO[bytes]) -> Iterator[dict]:
    # The connection ends with the program.
    with suppress(OSError, ValueError):
        while header := reader.readline():
            assert reader.readline() == b"\r\n"
            yield json.loads(reader.read(int(header.partition(b":")[2])))


def send(writer: IO[bytes], command: str, arguments: dict[str, object]) -> None:
    content = json.dumps({"seq": 1, "type": "request", "command": command, "arguments": arguments}).encode()
    with suppress(OSError, ValueError):
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        writer.flush()


def test_the_debugger_stops_in_a_request(compiled: Render, python: Path):
    """It stops at `breakpoint()`, which would start pdb in the terminal without the launch.json settings."""
    project, port = compiled(vscode=True), free_port()
    file = project / FILE
    text = file.read_text("utf-8")
    assert text.count(LINE) == 1
    file.write_text(text.replace(LINE, f"    breakpoint()\n{LINE}"), "utf-8")
    line = text[: text.index(LINE)].count("\n") + 1
    launch = json.loads((project / ".vscode/launch.json").read_text("utf-8"))["configurations"][0]
    launch |= {"args": [*launch["args"], "--port", str(port)], "python": [str(python)], "cwd": str(project)}
    adapter = subprocess.Popen(
        [environment_of("debugpy", DEBUGPY.encode(), DEBUGPY), "-m", "debugpy.adapter"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(),
    )
    editor = Editor()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            editor.debug(adapter.stdout, adapter.stdin, "launch", {**launch, "console": "internalConsole"})
            wait_until(lambda: is_alive(client), "the application")
            stopped = editor.stops.get(timeout=60)
        finally:
            send(adapter.stdin, "disconnect", {"terminateDebuggee": True})
            wait_until(lambda: not is_alive(client), "the end of the application")
            adapter.kill()
            adapter.wait()

    assert stopped == line


def is_alive(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False
