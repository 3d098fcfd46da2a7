"""A small HTTP/1.1 load generator: keep-alive connections, one request at a time on each.

It shares the machine with the server it measures, so it is as cheap as Python allows: a separate process,
plain sockets, epoll, requests that are encoded only once, and responses of which only the status and length
are read. Call `run(port, request, ...)`, which starts the process and returns what it measured.
"""

import asyncio
import json
import re
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import repeat


@dataclass
class Load:
    """The number of responses by status, and how long each one took, in seconds."""

    seconds: float
    latencies: list[float]
    statuses: dict[str, int]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that *share* of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def require(self, status: int) -> "Load":
        if set(self.statuses) != {str(status)}:
            raise SystemExit(f"expected only {status} responses, got {self.statuses}")
        return self


def request(method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def once(port: int, data: bytes) -> tuple[int, bytes]:
    """Send *data* and return the status and the body of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        while not _is_complete(answer):
            received = connection.recv(65536)
            if not received:
                raise OSError("the server closed the connection")
            answer += received
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]


async def run(
    port: int, *requests: bytes, connections: int, seconds: float, once: bool = False, renewed: str = ""
) -> Load:
    """Send one of *requests* over and over on each of the *connections* for *seconds*.

    *once*: send each of *requests* at most once instead. *renewed*: a JSON field, such as a refresh token,
    whose value in the next request is taken from the last response.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, str(port), str(connections), str(seconds), str(int(once)), renewed),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(json.dumps([each.decode() for each in requests]).encode())
    if process.returncode:
        raise SystemExit("the load generator failed")
    return Load(**json.loads(output))


def measure(
    port: int, requests: list[bytes], connections: int, seconds: float, once: bool, renewed: str
) -> Load:
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    poll = select.epoll()
    open_sockets: dict[int, socket.socket] = {}
    data: dict[int, Iterator[bytes]] = {}
    queue = iter(requests)
    sent_at: dict[int, float] = {}
    partial: dict[int, bytes] = {}
    field = re.compile(rf'("{renewed}": ?")([^"]*)'.encode())
    for each in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_sockets[connection.fileno()] = connection
        data[connection.fileno()] = queue if once else repeat(requests[each % len(requests)])
        poll.register(connection, select.EPOLLIN)
    clock = time.perf_counter
    began = clock()
    end = began + seconds
    for number, connection in open_sockets.items():
        sent_at[number] = clock()
        connection.sendall(next(data[number]))
    while sent_at:
        for number, _ in poll.poll(30):
            connection = open_sockets[number]
            answer = connection.recv(65536)
            if not answer:
                raise SystemExit("the server closed a connection")
            if number in partial:
                answer = partial.pop(number) + answer
            if not _is_complete(answer):
                partial[number] = answer
                continue
            now = clock()
            latencies.append(now - sent_at[number])
            status = answer[9:12].decode()
            statuses[status] = statuses.get(status, 0) + 1
            following = next(data[number], None) if now < end else None
            if following is None:
                del sent_at[number]
            elif renewed and (value := field.search(answer)):
                following = field.sub(rb"\g<1>" + value[2], following)
                data[number] = repeat(following)
                sent_at[number] = clock()
                connection.send(following)
            else:
                sent_at[number] = now
                connection.send(following)
    return Load(clock() - began, latencies, statuses)


def _is_complete(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    # Servers differ in the letter case of header names.
    at = answer.lower().find(b"content-length:", 0, head)
    length = int(answer[at + 15 : answer.find(b"\r\n", at)]) if at >= 0 else 0
    return len(answer) >= head + 4 + length


if __name__ == "__main__":
    port, connections, seconds, once_each, renewed = sys.argv[1:]
    requests = [each.encode() for each in json.load(sys.stdin)]
    result = measure(int(port), requests, int(connections), float(seconds), once_each == "1", renewed)
    json.dump(asdict(result), sys.stdout)
