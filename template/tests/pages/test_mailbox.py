"""The mailbox and the e-mail previews, which exist only in development: what they show, and to whom."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend
from hawkapi_sqlalchemy import Database

from app.mail import Worker, enqueue, mailbox
from app.main import create_app
from app.pages.mail_previews import PREVIEWS
from app.settings import Settings
from app.users.emails import NOTICES
from app.web import App
from tests.conftest import make_client

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
OURS = {"Sec-Fetch-Site": "same-origin"}
PATHS = ["/dev/mailbox", "/dev/mailbox/newest", "/dev/mailbox/1", "/dev/mailbox/1/html", "/dev/mails"]

type Send = Callable[..., Awaitable[None]]


@pytest.fixture(scope="module")
def developed(settings: Settings) -> Iterator[App]:
    """An application in development mode."""
    values = settings.model_dump(exclude_unset=True)
    values |= {"environment": "development", "background_worker": "separate", "support_email": "help@test"}
    app = create_app(Settings(_env_file=None, **values))  # type: ignore[call-arg]
    yield app
    app.state.users.hasher.close()


@pytest.fixture
async def browser(app: App, developed: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application in development mode."""
    async with make_client(developed) as client:
        yield client
    await developed.state.db.dispose()
    await developed.state.limiter.clear()


@pytest.fixture
def send_all(db: Database) -> Send:
    """`await send_all()` makes the development worker send all waiting e-mails."""

    async def send() -> None:
        await Worker(db, InMemoryBackend(), keep_sent=True).run_once()

    return send


@pytest.fixture
def send(db: Database, send_all: Send) -> Send:
    """`await send("Hello", html="<p>Hi</p>")` queues an e-mail and sends it."""

    async def write_and_send(subject: str, **parts: str) -> None:
        async with db.session() as session:
            parts = {"to": "ada@example.com", "sender": "us@example.com", "text": "Hello"} | parts
            enqueue(session, EmailMessage.build(subject=subject, **parts))
        await send_all()

    return write_and_send


async def test_a_mail_is_shown_as_html_text_and_source(browser, send_all):
    await browser.post("/users/register", json=ADA)
    await send_all()
    newest = (await browser.get("/dev/mailbox/newest")).json()["id"]

    page = await browser.get(f"/dev/mailbox/{newest}")
    html = await browser.get(f"/dev/mailbox/{newest}/html")
    text = await browser.get(f"/dev/mailbox/{newest}?show=text")
    source = await browser.get(f"/dev/mailbox/{newest}?show=source")

    link = re.search(r'<a href="(http://test/users/verify/[^"]+)" target="_blank">', text.text)[1]
    assert f'<iframe src="/dev/mailbox/{newest}/html"' in page.text
    assert f'<a href="{link}">{link}</a>' in html.text
    assert '<base target="_blank">' in html.text
    assert "help@test" in html.text
    assert "Auto-Submitted: auto-generated" in source.text
    assert (await browser.get(link)).status_code == 200


async def test_the_newest_mail_is_on_top_and_open(browser, send):
    await send("The first")
    await send("The second")

    page = (await browser.get("/dev/mailbox")).text

    assert re.findall(r"<strong>(.*?)</strong>", page) == ["The second", "The first"]
    assert '<h2 id="subject">The second</h2>' in page


async def test_a_mail_that_arrives_while_the_page_is_built_is_still_new(browser, send, monkeypatch):
    """Otherwise, the page would not show the e-mail until another one arrives."""
    read = mailbox.sent_mails

    async def read_and_receive(db):
        mails = await read(db)
        await send("Just arrived")
        return mails

    monkeypatch.setattr(mailbox, "sent_mails", read_and_receive)

    page = (await browser.get("/dev/mailbox")).text

    assert "Just arrived" not in page
    newest = (await browser.get("/dev/mailbox/newest")).json()["id"]
    assert f'data-newest="{newest}"' not in page


async def test_an_empty_mailbox_explains_how_to_get_a_mail(browser):
    assert "No e-mails yet." in (await browser.get("/dev/mailbox")).text


async def test_waiting_mails_are_counted_but_not_shown(browser):
    await browser.post("/users/register", json=ADA)

    page = (await browser.get("/dev/mailbox")).text

    assert "1 e-mail is waiting to be sent." in page
    assert "Confirm your e-mail address" not in page


async def test_everything_but_waiting_mails_is_deleted(browser, send, outbox):
    await send("Sent")
    await browser.post("/users/register", json=ADA)

    answer = await browser.post("/dev/mailbox/delete", headers=OURS)

    assert (answer.status_code, answer.headers["location"]) == (303, "/dev/mailbox")
    assert (await browser.get("/dev/mailbox/newest")).json() == {"id": 0}
    assert len(await outbox()) == 1


async def test_a_cross_site_request_deletes_nothing(browser, send):
    await send("Sent")

    answer = await browser.post("/dev/mailbox/delete", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert (await browser.get("/dev/mailbox/newest")).json()["id"] > 0


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "x@y"])
async def test_a_foreign_host_name_gets_no_mail(browser, send, host):
    """Otherwise, a site whose name resolves to this machine (DNS rebinding) could read every link."""
    await send("Sent")

    answers = [await browser.get(path, headers={"Host": host}) for path in PATHS]

    assert {answer.status_code for answer in answers} == {403}


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "app.localhost", "192.168.1.7"]
)
async def test_the_mailbox_is_available_at_any_local_address(browser, host):
    assert (await browser.get("/dev/mailbox", headers={"Host": host})).status_code == 200


async def test_a_mail_in_its_frame_cannot_run_scripts(browser, send):
    """An e-mail may contain text from strangers, such as their user agent."""
    await send("Hello", html="<script>alert(1)</script><p style='color:red'>Hi</p>")
    newest = (await browser.get("/dev/mailbox/newest")).json()["id"]

    frame = await browser.get(f"/dev/mailbox/{newest}/html")
    page = await browser.get(f"/dev/mailbox/{newest}")

    policy = frame.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';")
    assert "frame-ancestors 'self'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy + page.text
    assert "allow-same-origin" not in policy + page.text
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "frame-src" not in (await browser.get("/")).headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/dev/mailbox/0", "/dev/mailbox/0/html", "/dev/mails/nothing"])
async def test_unknown_mails_are_404(browser, path):
    assert (await browser.get(path)).status_code == 404


@pytest.mark.parametrize("path", [*PATHS, "/dev/mailbox/delete", "/dev/mails/verify"])
async def test_the_mailbox_exists_only_in_development(client, path):
    """The status is not even 405, which would reveal that the route exists."""
    answers = [await client.get(path), await client.post(path, headers=OURS)]

    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.parametrize("name", PREVIEWS)
async def test_every_mail_has_a_preview(browser, outbox, name):
    html = await browser.get(f"/dev/mails/{name}/html")
    text = await browser.get(f"/dev/mails/{name}?show=text")

    assert (html.status_code, text.status_code) == (200, 200)
    assert "HawkAPI app" in html.text
    assert "help@test" in html.text
    assert "help@test" in text.text
    assert not re.search(r"\{(?:\{|%)|Undefined|None", html.text)
    assert await outbox() == []


def test_every_notice_has_a_preview():
    assert set(NOTICES) <= set(PREVIEWS)


# Your own tests go below; template updates never touch them.
