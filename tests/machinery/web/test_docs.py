"""The documentation: works offline, under a policy that allows nothing, and can be off."""

import base64
import hashlib
import re
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from app import web as platform
from app.main import create_app
from app.settings import Settings


class Thing(msgspec.Struct):
    name: str


def make_settings(**values: Any) -> Settings:
    """Settings that would do in production, but for *values*."""
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

    @web.post("/<script>alert(1)</script>")
    async def handler(body: Thing) -> Thing:
        """Make <b>a thing</b>"""
        return body

    return web


async def test_the_page_shows_routes_and_schemas(documented, http):
    page = await http.get("/docs")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "POST" in page.text
    assert 'id="Thing"' in page.text


@pytest.mark.parametrize(
    ("route", "login"),
    [("/users/me", "needs a login"), ("/users/logout", "login optional"), ("/users/register", "")],
)
async def test_the_page_says_who_needs_a_login(client, route, login):
    page = (await client.get("/docs")).text

    summary = page.partition(f"<code>{route}</code>")[2].partition("</summary>")[0]
    assert summary.partition('<span class="lock">')[2].removesuffix("</span>") == login


async def test_the_page_needs_nothing_from_outside_and_no_script(documented, http):
    page = (await http.get("/docs")).text

    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\son\w+=|https?://", page)


async def test_the_page_escapes_what_it_shows(documented, http):
    page = (await http.get("/docs")).text

    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;a thing&lt;/b&gt;" in page


async def test_the_policy_allows_the_style_of_the_page_and_nothing_else(documented, http):
    policy = (await http.get("/docs")).headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_the_style_is_the_one_that_the_policy_names(documented, http):
    page = await http.get("/docs")
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert f"'sha256-{digest}'" in page.headers["content-security-policy"]


async def test_the_document_is_served(documented, http):
    answer = await http.get("/openapi.json")

    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/scalar"])
async def test_off_there_is_nothing(web, http, path):
    web.state.settings = make_settings(docs_enabled=False)
    platform.install(web)

    assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/redoc", "/scalar"])
async def test_the_pages_of_the_framework_that_load_scripts_are_never_there(documented, http, path):
    assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_in_production_they_are_off_by_default(connected, path):
    """ASVS 13.4.5."""
    async with connected(create_app(make_settings(allowed_hosts=["test"]))) as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_in_development_they_are_on_by_default(connected, path):
    async with connected(create_app(make_settings(environment="development"))) as client:
        assert (await client.get(path)).status_code == 200
