"""Types of the names of multipart 2 that this project uses; the package ships none that are complete."""

from collections.abc import Iterator
from typing import IO

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

def parse_options_header(header: str) -> tuple[str, dict[str, str]]: ...
