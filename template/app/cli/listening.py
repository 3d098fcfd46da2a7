"""Stops listening without losing requests in transit. Template-owned.

When a listening socket is closed, the kernel resets the connections that have not been accepted yet, and
Granian closes accepted connections on which nothing has arrived yet. In both cases, the client may have just
sent a request, so the kernel must stop accepting connections first. Granian does not expose its sockets, so
this module finds them among the process's open files. This works only on Linux.
"""

import ctypes
import os
import select
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress

SO_ATTACH_FILTER = 26
"""From Linux's asm-generic/socket.h."""
FILTER = (
    (0x30, 0, 0, 13),  # load byte 13 of the TCP header: the flags
    (0x45, 0, 1, 0x02),  # if SYN is set, the client is opening a connection:
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # otherwise accept it
)
"""A socket filter for the kernel (linux/filter.h): code, jump if true, jump if false, operand."""


def ignore_new_connections() -> set[int]:
    """Make the kernel drop new connections to this process. Returns the ports that the process listens on.

    A client that is trying to connect gets no reply and tries again after a second. If the socket is closed
    by then, the connection is refused.
    """
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in FILTER))
    program = struct.pack("HP", len(FILTER), ctypes.addressof(instructions))
    ports = set[int]()
    for each in _sockets():
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            # Some sandboxes do not support filters.
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
            ports.add(each.getsockname()[1])
    return ports


def has_unread(ports: set[int]) -> bool:
    """Whether a connection to one of *ports* is waiting to be accepted or has data that has not been read."""
    unread = select.poll()
    for each in _sockets():
        if each.getsockname()[1] in ports:
            unread.register(each, select.POLLIN)
    return bool(unread.poll(0))


def _sockets() -> Iterator[socket.socket]:
    """This process's TCP sockets. Each is usable only until the next one is requested."""
    for descriptor in os.listdir("/proc/self/fd") if sys.platform == "linux" else ():
        # Most open files are not sockets, and some may be closed in the meantime.
        with suppress(OSError):
            each = socket.socket(fileno=int(descriptor))
            try:
                if each.family in (socket.AF_INET, socket.AF_INET6) and each.type == socket.SOCK_STREAM:
                    yield each
            finally:
                # Leave the socket open: its owner closes it.
                each.detach()
