# pyright: reportPrivateUsage=false
# HawkAPI has no public way to read a body with a limit other than the application's.
"""Reads a form with files as a typed body. Each route can have its own size limit.

    class NewPicture(msgspec.Struct):
        title: Annotated[str, msgspec.Meta(max_length=200)]
        file: Annotated[Upload, ContentTypes("image/png", "image/jpeg")]

    @router.post("", status_code=201)
    async def add_picture(
        user: CurrentUser, body: Annotated[NewPicture, FromMultipart(max_size=10_000_000)], db: Db
    ) -> PublicPicture: ...

HawkAPI 0.2.0 keeps whole files in memory, ignores their content types, and limits them to the same size as
any other body.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, TypeAliasType, get_args, get_origin

import msgspec
from hawkapi import Request
from hawkapi.requests.request import RequestEntityTooLarge
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from app.i18n import gettext as _
from app.web.framework.asgi import BODY_CLOCK
from app.web.framework.handler_checks import RouteError
from app.web.framework.parameters import convert, media_type_of
from app.web.problems import Problem, invalid

MULTIPART = "multipart/form-data"
_IN_MEMORY = 1024 * 1024
"""The maximum size of a file in memory, in bytes. Larger files are kept on disk and accessed in a thread."""
_MAX_PARTS = 200
_MAX_NAME = 255
_LISTS = {list, set, tuple, frozenset}


class Upload:
    """A file from a form. It is deleted when the handler returns or fails; call `save` to keep the content.

    `filename` and `content_type` come from the client. Check the content before you rely on them, and never
    use the name as a path.
    """

    def __init__(self, filename: str, content_type: str) -> None:
        self.filename = filename
        self.content_type = content_type
        self.size = 0
        """The size in bytes."""
        self.file = SpooledTemporaryFile[bytes](max_size=_IN_MEMORY)
        """A file object for libraries. Use it in a thread: `await asyncio.to_thread(resize, upload.file)`."""

    async def read(self) -> bytes:
        """Read the whole content into memory."""
        return await _in_thread(self._read)

    async def save(self, path: Path) -> None:
        """Write the content to the file *path*."""
        await _in_thread(self._save, path)

    async def write(self, content: bytes) -> None:
        """Append to the content. Used by `MultipartReader`."""
        self.size += len(content)
        if self.size <= _IN_MEMORY:
            self.file.write(content)
        else:
            await _in_thread(self.file.write, content)

    async def close(self) -> None:
        """Delete the file. Used by `MultipartReader`."""
        if self.size <= _IN_MEMORY:
            self.file.close()
        else:
            await _in_thread(self.file.close)

    def _read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()

    def _save(self, path: Path) -> None:
        self.file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(self.file, target)


class ContentTypes:
    """The content types that a file may have: `Annotated[Upload, ContentTypes("image/png", "text/*")]`."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = accepted

    def accept(self, content_type: str) -> bool:
        return any(fnmatchcase(content_type, each) for each in self.accepted)


@dataclass(frozen=True)
class FromMultipart:
    """Marks a body as a form with files: `Annotated[NewPicture, FromMultipart(max_size=10_000_000)]`."""

    max_size: int
    """The maximum size of the whole form, in bytes. MAX_BODY_SIZE then limits only the text fields."""
    seconds: float | None = None
    """Seconds to wait for the whole form. None means BODY_TIMEOUT."""


@dataclass(frozen=True)
class _Field:
    is_file: bool
    is_list: bool
    types: ContentTypes | None


def multipart_mark_of(annotation: Any) -> FromMultipart | None:
    """The `FromMultipart` marker on a body parameter, if it has one."""
    return next((each for each in _parts_of(annotation) if isinstance(each, FromMultipart)), None)


def content_types_of(annotation: Any) -> dict[str, str]:
    """The content types of the files in a form, keyed by field, as the OpenAPI document lists them."""
    fields = _fields_of(annotation).items()
    return {name: ", ".join(each.types.accepted) for name, each in fields if each.types is not None}


def schema_of_upload(kind: Any) -> dict[str, Any]:
    """The JSON Schema for `Upload`, a type that msgspec does not support."""
    if kind is not Upload:
        raise NotImplementedError
    return {"type": "string", "format": "binary"}


class MultipartReader:
    """Reads a form with files into a Struct. Each file is stored as it arrives."""

    def __init__(self, annotation: Any, mark: FromMultipart, where: str) -> None:
        """*where*: the route, for RouteError messages."""
        if _struct_in(annotation) is None:
            raise RouteError(f"{where}: a body that is marked with FromMultipart must be a msgspec.Struct.")
        self._annotation = annotation
        self._mark = mark
        self._fields = _fields_of(annotation)

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncGenerator[Any]:
        """Yields the Struct. Its files are closed, and thereby deleted, at the end of the block."""
        uploads: list[Upload] = []
        try:
            try:
                given = await self._read_fields(request, uploads)
            except MultipartError:
                raise Problem(400, "The form is malformed.", code="malformed_form") from None
            yield convert(given, self._annotation, "body")
        finally:
            for each in uploads:
                await each.close()

    async def _read_fields(self, request: Request, uploads: list[Upload]) -> dict[str, Any]:
        values: dict[str, list[Any]] = {}
        part: Upload | bytearray | None = None
        left_for_text = request._max_body_size
        async for event in _events(request, self._mark):
            if isinstance(event, MultipartSegment):
                part = self._begin(event)
                if part is not None:
                    values.setdefault(event.name or "", []).append(part)
                if isinstance(part, Upload):
                    uploads.append(part)
            elif isinstance(part, Upload):
                await part.write(event)
            elif part is not None:
                left_for_text -= len(event)
                if left_for_text < 0:
                    raise RequestEntityTooLarge(request._max_body_size)
                part += event
        return {name: self._value(name, found) for name, found in values.items()}

    def _begin(self, segment: MultipartSegment) -> Upload | bytearray | None:
        """Returns the object that receives the part's content, or None to ignore the part."""
        name = segment.name or ""
        field = self._fields.get(name)
        # If no file has been chosen, browsers send a file with an empty name.
        if field is None or segment.filename == "":
            return None
        if segment.filename is None:
            if field.is_file:
                raise invalid(name, "This must be a file.")
            return bytearray()
        if not field.is_file:
            raise invalid(name, "This must be text.")
        content_type = segment.content_type or "application/octet-stream"
        if field.types is not None and not field.types.accept(content_type):
            sentence = _("The file in {field} must have one of these types: {types}.")
            raise Problem(415, sentence.format(field=name, types=", ".join(field.types.accepted)))
        # Some browsers send a path instead of a name.
        filename = segment.filename.replace("\\", "/").rpartition("/")[2]
        return Upload("".join(filter(str.isprintable, filename))[:_MAX_NAME], content_type)

    def _value(self, name: str, parts: list[Any]) -> Any:
        values = [each if isinstance(each, Upload) else _text(name, each) for each in parts]
        return values if self._fields[name].is_list else values[0]


def _text(name: str, content: bytearray) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, "The form is malformed.", code="malformed_form") from None
    if "\0" in text:
        raise invalid(name, "The character U+0000 is not accepted.")
    return text


async def _events(request: Request, mark: FromMultipart) -> AsyncGenerator[MultipartSegment | bytes]:
    """Yields the parts of the form, each followed by its content."""
    if media_type_of(request) != MULTIPART:
        raise Problem(415, "Send the body as a form with files (multipart/form-data).")
    _media_type, options = parse_options_header(request.headers.get("content-type") or "")
    if not options.get("boundary"):
        raise Problem(400, "The form's Content-Type has no boundary.", code="malformed_form")
    length = request.headers.get("content-length") or ""
    if length.isdecimal() and int(length) > mark.max_size:
        raise RequestEntityTooLarge(mark.max_size)
    if mark.seconds is not None and (clock := request.scope.get(BODY_CLOCK)) is not None:
        clock.allow(mark.seconds)
    # Do not use strict mode: it rejects a line break in its own chunk after the last boundary.
    with PushMultipartParser(options["boundary"], max_segment_count=_MAX_PARTS) as parser:
        async for chunk in Request(request.scope, request._receive, max_body_size=mark.max_size).stream():
            for event in parser.parse(chunk):
                if event is not None:
                    yield event


async def _in_thread[T](work: Callable[..., T], *arguments: Any) -> T:
    """Run *work* in a thread. If the request is cancelled, the thread finishes before the file is closed."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    kinds = (each for each in _parts_of(annotation) if isinstance(each, type))
    return next((each for each in kinds if issubclass(each, msgspec.Struct)), None)


def _fields_of(annotation: Any) -> dict[str, _Field]:
    struct = _struct_in(annotation)
    fields: dict[str, _Field] = {}
    for each in msgspec.structs.fields(struct) if struct is not None else ():
        parts = list(_parts_of(each.type))
        types = next((part for part in parts if isinstance(part, ContentTypes)), None)
        fields[each.encode_name] = _Field(Upload in parts, not _LISTS.isdisjoint(parts), types)
    return fields


def _parts_of(annotation: Any) -> Iterator[Any]:
    """The types and markers that *annotation* consists of."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    yield get_origin(annotation) or annotation
    for each in get_args(annotation):
        yield from _parts_of(each)
