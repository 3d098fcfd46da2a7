"""Downloads are saved under their name, whatever characters it has."""

import pytest
from hawkapi.responses import FileResponse
from hawkapi.responses.response import Response

from app.web import attachment


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.pdf", 'attachment; filename="a b.pdf"'),
        ("日本.png", "attachment; filename=\"__.png\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.png"),
        ('a";b\\.txt', "attachment; filename=\"a_;b_.txt\"; filename*=UTF-8''a%22%3Bb%5C.txt"),
        ("a\r\nX: y", "attachment; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"),
        ("\ud800", "attachment; filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
async def test_a_download_has_its_name(web, http, name, header):
    @web.get("/")
    async def handler() -> Response:
        return Response(b"x", headers={"Content-Disposition": attachment(name)})

    assert (await http.get("/")).headers["content-disposition"] == header


async def test_a_file_response_has_its_name(web, http, tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    @web.get("/")
    async def handler() -> FileResponse:
        return FileResponse(tmp_path / "file", filename="日本.png", headers={"X-Own": "1"})

    answer = await http.get("/")

    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (200, b"x", "1")
    assert answer.headers.get_list("content-disposition") == [attachment("日本.png")]
