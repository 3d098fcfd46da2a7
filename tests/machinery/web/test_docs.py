"""The documentation works offline under a strict policy and can be turned off."""

import gzip
import hashlib
import re
from typing import Any

import pytest
from pydantic import SecretStr

from app import web as platform
from app.main import create_app
from app.settings import Settings


def make_settings(**values: Any) -> Settings:
    """Settings valid in production, changed by *values*."""
    good = {
        "environment": "production",
        "secret_key": SecretStr(hashlib.sha256(b"the secret of the tests").hexdigest()),
        "base_url": "https://example.com",
        "database_url": SecretStr("sqlite+aiosqlite:///unused.db"),
        "mail_backend": "smtp",
        "mail_sender": "app@example.com",
        "smtp_host": "smtp.example.com",
        "smtp_security": "starttls",
    }
    return Settings(_env_file=None, **(good | values))  # type: ignore[call-arg]


@pytest.fixture
def documented(web):
    web.state.settings = make_settings(docs_enabled=True)
    platform.install(web)
    return web


async def links_of(http) -> list[str]:
    """Everything the page loads."""
    page = (await http.get("/docs")).text
    return re.findall(r'<(?:link|script|img|iframe)[^>]*\s(?:href|src)="([^"]*)"', page)


async def test_the_page_loads_only_files_of_the_application(documented, http):
    links = await links_of(http)

    assert {link.partition(".")[0] for link in links} == {"data:,", "/docs/swagger-ui", "/docs/docs"} | {
        "/docs/swagger-ui-bundle"
    }
    for link in links:
        if link != "data:,":
            answer = await http.get(link)
            assert answer.status_code == 200
            assert answer.headers["content-type"].split(";")[0] in {"text/css", "text/javascript"}


async def test_page_and_scripts_load_nothing_from_other_sites(documented, http):
    for link in ["/docs", *await links_of(http)]:
        if link != "data:,":
            text = (await http.get(link)).text
            assert not re.search(r"""(?:src=|import\(|@import|url\()\s*["']?(?:https?:)?//""", text), link


async def test_the_policy_allows_nothing_inline_and_no_other_site(documented, http):
    page = await http.get("/docs")
    policy = page.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert not re.search(r"unsafe|http|\*", policy)
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<style|\sstyle=|<script>|\son\w+=", page.text)


async def test_the_page_shows_the_document(documented, http):
    page = (await http.get("/docs")).text
    [document] = re.findall(r'data-document="([^"]*)"', page)

    answer = await http.get(document)

    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")


async def test_each_application_builds_its_document_once(documented, http, new_app, connected, monkeypatch):
    """Building it blocks all other requests of the process."""
    other = new_app("Other")
    other.state.settings = make_settings(docs_enabled=True)
    platform.install(other)
    built: list[str] = []
    build = platform.App.openapi
    monkeypatch.setattr(platform.App, "openapi", lambda app: built.append(app.title) or build(app))

    async with connected(other) as client:
        answers = [await each.get("/openapi.json") for each in (http, client, http, client)]

    assert [each.json()["info"]["title"] for each in answers] == ["Test", "Other", "Test", "Other"]
    assert {each.headers["content-type"] for each in answers} == {"application/json"}
    assert built == ["Test", "Other"]


async def test_the_name_of_the_application_is_escaped(new_app, connected):
    app = new_app("<script>alert(2)</script>")
    app.state.settings = make_settings(docs_enabled=True)
    platform.install(app)
    async with connected(app) as client:
        page = (await client.get("/docs")).text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(2)" in page


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("br", False),
        ("", False),
    ],
)
async def test_the_script_is_compressed_if_the_client_accepts_it(documented, http, accepted, is_compressed):
    [script] = [link for link in await links_of(http) if "bundle" in link]

    async with http.stream("GET", script, headers={"accept-encoding": accepted}) as answer:
        raw = b"".join([each async for each in answer.aiter_raw()])

    assert ("content-encoding" in answer.headers) == is_compressed
    assert "SwaggerUIBundle" in (gzip.decompress(raw) if is_compressed else raw).decode()
    assert answer.headers["vary"] == "Accept-Encoding"
    assert int(answer.headers["content-length"]) == len(raw)


async def test_files_are_cached_for_a_year_under_their_content_hash(documented, http):
    [script] = [link for link in await links_of(http) if "/docs/docs." in link and link.endswith(".js")]

    answer = await http.get(script)

    assert hashlib.sha256(answer.content).hexdigest()[:12] in script
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["docs.js", "swagger-ui.LICENSE.md", "..%2fdocs.py", "%2e%2e"])
async def test_no_other_file_is_served(documented, http, name):
    assert (await http.get(f"/docs/{name}")).status_code == 404


async def test_the_groups_start_with_login_and_have_descriptions(client):
    tags = (await client.get("/openapi.json")).json()["tags"]

    assert [each["name"] for each in tags][:4] == ["sessions", "users", "account", "administration"]
    assert all(each["description"] for each in tags)


async def test_the_first_route_logs_in(client):
    document = (await client.get("/openapi.json")).json()
    first = next(
        path
        for path, operations in document["paths"].items()
        for each in operations.values()
        if each["tags"] == ["sessions"]
    )

    assert first == "/users/login"


def test_tags_without_a_description_follow_in_the_order_of_their_routes(web):
    for tag in ("zebras", "apples", "sessions"):

        @web.get(f"/{tag}", tags=[tag])
        async def handler() -> None: ...

    web.tag_descriptions.update({"unused": "Nothing.", "sessions": "Log in."})

    assert web.openapi()["tags"] == [
        {"name": "sessions", "description": "Log in."},
        {"name": "zebras"},
        {"name": "apples"},
    ]


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/scalar"])
async def test_nothing_is_served_when_off(web, http, path):
    web.state.settings = make_settings(docs_enabled=False)
    platform.install(web)

    assert (await http.get(path)).status_code == 404


async def test_no_files_are_served_when_off(web, http, new_app, connected):
    on = new_app()
    on.state.settings = make_settings(docs_enabled=True)
    platform.install(on)
    web.state.settings = make_settings(docs_enabled=False)
    platform.install(web)
    async with connected(on) as client:
        links = [link for link in await links_of(client) if link != "data:,"]

    assert links
    assert {(await http.get(link)).status_code for link in links} == {404}


@pytest.mark.parametrize("path", ["/redoc", "/scalar"])
async def test_the_framework_pages_that_load_scripts_are_never_served(documented, http, path):
    assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_docs_are_off_by_default_in_production(connected, path):
    """ASVS 13.4.5."""
    async with connected(create_app(make_settings(allowed_hosts=["test"]))) as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_docs_are_on_by_default_in_development(connected, path):
    async with connected(create_app(make_settings(environment="development"))) as client:
        assert (await client.get(path)).status_code == 200
