"""The code in docs/front-ends.md, on pages whose origin differs from the application's."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from conftest import REPOSITORY, Render, free_port, process, run, wait_for_server
from playwright.sync_api import Browser, Page
from test_browser import PATIENCE
from test_browser import chromium as chromium

PAGE = REPOSITORY / "docs" / "front-ends.md"
ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}
VISIT = """async ([file, account]) => {
    const said = [];
    const { logIn, logOut, me, call } = await import(file);
    const asked = async (what) => {
        try { return await what(); } catch (error) { return error.code ?? String(error); }
    };
    said.push(await asked(me));
    said.push(await asked(() => logIn(account.email, "not this password")));
    await asked(() => logIn(account.email, account.password));
    said.push((await asked(me)).email ?? await asked(me));
    said.push((await asked(() => call("PATCH", "/users/me", {language: "de"}))).email);
    await asked(logOut);
    said.push(await asked(me));
    return said;
}"""
WORKS = ["not_logged_in", "invalid_credentials", ACCOUNT["email"], ACCOUNT["email"], "not_logged_in"]
REQUESTS_UNTIL_REFRESHED = """async (account) => {
    const { logIn, me } = await import("/bearer.js");
    await logIn(account.email, account.password);
    const first = localStorage.getItem("refresh");
    while (localStorage.getItem("refresh") === first) await Promise.all([me(), me(), me()]);
}"""
LOG_IN = """async (account) => {
    const { logIn } = await import("/bearer.js");
    await logIn(account.email, account.password);
}"""
REFRESH_AFTER_LOGOUT = """async () => {
    const { logOut, call } = await import("/bearer.js");
    const refresh_token = localStorage.getItem("refresh");
    await logOut();
    return await call("POST", "/users/token/refresh", { refresh_token }).catch((error) => error.code);
}"""

pytestmark = pytest.mark.minutes


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port and folder of a file server."""
    folder = tmp_path_factory.mktemp("front-end")
    (folder / "index.html").write_text("<!doctype html><title>Front end</title>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", autouse=True)
def api(
    front_end: tuple[int, Path], compiled: Render, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The application at localhost, with an account. Pages at localhost and 127.0.0.1 may send requests to
    it.
    """
    port, (front_port, folder) = free_port(), front_end
    url, project = f"http://localhost:{port}", compiled()
    data = tmp_path_factory.mktemp("data")
    environment = {
        "DATABASE_URL": f"sqlite+aiosqlite:///{data / 'app.db'}",
        "BASE_URL": url,
        "CORS_ORIGINS": f"http://localhost:{front_port},http://127.0.0.1:{front_port}",
        "ACCESS_TTL": "1",
    }
    for name, text in re.findall(r"^`(\w+\.js)`:\n\n```js\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S):
        (folder / name).write_text(text.replace("https://api.example.org", url), "utf-8")
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    serve = (python, "-m", "app.cli", "serve", "--port", str(port))
    with (
        process(*serve, cwd=project, log=data / "log", env=environment) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for_server(client, server)
        assert client.post("/users/register", json=ACCOUNT).status_code == 201
        yield url


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def visit(page: Page, host: str, front_end: tuple[int, Path], file: str) -> list[str]:
    page.goto(f"http://{host}:{front_end[0]}/")
    return page.evaluate(VISIT, [f"/{file}", ACCOUNT])


def test_a_front_end_of_the_same_site_uses_the_cookie(page: Page, front_end: tuple[int, Path]):
    assert visit(page, "localhost", front_end, "cookie.js") == WORKS


def test_a_front_end_of_another_site_cannot_use_the_cookie(page: Page, front_end: tuple[int, Path]):
    said = visit(page, "127.0.0.1", front_end, "cookie.js")

    assert "TypeError: Failed to fetch" in said[2]
    assert page.context.cookies() == []


def test_a_front_end_of_another_site_uses_access_tokens(page: Page, front_end: tuple[int, Path]):
    assert visit(page, "127.0.0.1", front_end, "bearer.js") == WORKS


def test_a_logout_after_a_reload_ends_the_session(page: Page, front_end: tuple[int, Path]):
    """The access token is gone, so the refresh token identifies the session."""
    page.goto(f"http://127.0.0.1:{front_end[0]}/")
    page.evaluate(LOG_IN, ACCOUNT)
    page.reload()

    assert page.evaluate(REFRESH_AFTER_LOGOUT) == "session_ended"


def test_many_requests_at_once_refresh_the_access_token_once(page: Page, front_end: tuple[int, Path]):
    """Access tokens last one second here."""
    refreshed = []
    page.on("request", lambda request: refreshed.append(request.method) if "refresh" in request.url else None)
    page.goto(f"http://127.0.0.1:{front_end[0]}/")

    page.evaluate(REQUESTS_UNTIL_REFRESHED, ACCOUNT)

    assert refreshed.count("POST") == 1
