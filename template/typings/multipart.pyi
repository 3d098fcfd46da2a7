"""Types for the parts of multipart 2 that this project uses. The package's own types are incomplete."""

from collections.abc import Iterator
from typing import IO, Self

class MultipartError(ValueError): ...

class MultipartPart:
    name: str
    filename: str | None
    content_type: str
    raw: bytes

class MultipartParser:
    def __init__(
        self,
        stream: IO[bytes],
        boundary: str,
        content_length: int = -1,
        charset: str = "utf8",
        strict: bool = False,
        *,
        spool_limit: int = ...,
        memory_limit: int = ...,
    ) -> None: ...
    def __iter__(self) -> Iterator[MultipartPart]: ...

class MultipartSegment:
    name: str | None
    filename: str | None
    content_type: str | None

class PushMultipartParser:
    def __init__(self, boundary: str, *, max_segment_count: int = ...) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def parse(self, chunk: bytes) -> Iterator[MultipartSegment | bytes | None]: ...

def parse_options_header(header: str) -> tuple[str, dict[str, str]]: ...
