"""The verification and reset e-mails: what they say, where their links point, and what can be customized."""

from pathlib import Path

import pytest
from hawkapi_mail import InMemoryBackend, Mailer, TemplateRenderer

from app.users import default_renderer, send_password_reset_email, send_verification_email
from app.users.emails import in_words

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

LINK = "https://example.com/link/{token}"

BOTH = pytest.mark.parametrize(
    ("send", "link_argument", "link_name"),
    [
        (send_verification_email, "verify_url_template", "verify_url"),
        (send_password_reset_email, "reset_url_template", "reset_url"),
    ],
    ids=["verification", "reset"],
)

ASKING = pytest.mark.parametrize("purpose", ["verify", "password-reset"])


@pytest.fixture
def mailer():
    """HawkAPI's own mailer, as passed by code written for hawkapi-users."""
    return Mailer(backend=InMemoryBackend(), default_sender="Shop <shop@example.com>")


@pytest.fixture
def renderer():
    """Custom templates."""
    return TemplateRenderer(directory=Path(__file__).parent / "templates")


# What recipients get


@ASKING
async def test_text_and_html_have_the_same_link(client, make_user, outbox, mailed_token, purpose):
    await make_user("ada@example.com")
    await client.post(f"/users/{purpose}/request", json={"email": "ada@example.com"})

    (mail,) = await outbox()
    link = f"http://test/users/{purpose}/{await mailed_token()}"
    assert link in mail.text_body
    assert f'<a href="{link}">{link}</a>' in mail.html_body


@ASKING
async def test_subject_sender_and_texts_name_the_application(other_client, make_user, outbox, purpose):
    await make_user("ada@example.com")
    client = await other_client(app_name="Böse & <Söhne>", mail_sender="Shop <shop@example.org>")

    await client.post(f"/users/{purpose}/request", json={"email": "ada@example.com"})

    (mail,) = await outbox()
    assert mail.sender == "Shop <shop@example.org>"
    assert "Böse & <Söhne>" in mail.subject
    assert "Böse & <Söhne>" in mail.text_body
    assert "Böse &amp; &lt;Söhne&gt;" in mail.html_body


@ASKING
async def test_the_mail_states_the_configured_lifetime(other_client, make_user, outbox, purpose):
    """The lifetime in an e-mail comes from the setting and is not hard-coded."""
    await make_user("ada@example.com")
    client = await other_client(verify_ttl=2700, reset_ttl=2700)

    await client.post(f"/users/{purpose}/request", json={"email": "ada@example.com"})

    (mail,) = await outbox()
    assert "45 minutes" in mail.text_body
    assert "45 minutes" in mail.html_body


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (5400, "90 minutes"),
        (3600, "1 hour"),
        (7200, "2 hours"),
        (86400, "1 day"),
        (172800, "2 days"),
    ],
)
def test_a_lifetime_is_written_in_words(seconds, words):
    assert in_words(seconds) == words


# Where the links point


@pytest.mark.parametrize(("purpose", "setting"), [("verify", "verify_url"), ("password-reset", "reset_url")])
async def test_links_may_point_to_a_front_end(other_client, make_user, outbox, purpose, setting):
    """The link contains the token exactly where the setting has its placeholder."""
    await make_user("ada@example.com")
    client = await other_client(**{setting: "https://myexample.com/#/confirm?code={token}&x=1"})

    await client.post(f"/users/{purpose}/request", json={"email": "ada@example.com"})

    (mail,) = await outbox()
    assert "https://myexample.com/#/confirm?code=mt_" in mail.text_body
    assert "&amp;x=1" in mail.html_body


# Customization


@BOTH
async def test_any_mailer_works(mailer, send, link_argument, link_name):
    await send(mailer, to="ada@example.com", token="t0ken", **{link_argument: LINK})

    (mail,) = mailer.backend.sent
    assert (mail.sender, mail.to) == ("Shop <shop@example.com>", ["ada@example.com"])
    assert "https://example.com/link/t0ken" in mail.text_body
    assert "https://example.com/link/t0ken" in mail.html_body
    assert mail.subject


@BOTH
async def test_renderer_templates_subject_sender_and_context(
    mailer, renderer, send, link_argument, link_name
):
    await send(
        mailer,
        to="ada@example.com",
        token="t0ken",
        sender="Me <me@example.com>",
        subject="Mine",
        template="mine.html",
        text_template="mine.txt",
        renderer=renderer,
        context={"greeting": "Hi <you>"},
        **{link_argument: LINK},
    )

    (mail,) = mailer.backend.sent
    assert (mail.sender, mail.subject) == ("Me <me@example.com>", "Mine")
    assert mail.text_body == "Hi <you> https://example.com/link/t0ken"
    assert mail.html_body == "<b>Hi &lt;you&gt; https://example.com/link/t0ken</b>"


@BOTH
async def test_the_context_may_provide_its_own_link(mailer, send, link_argument, link_name):
    await send(
        mailer,
        to="ada@example.com",
        token="t0ken",
        context={link_name: "app://open"},
        **{link_argument: LINK},
    )

    assert "app://open" in mailer.backend.sent[0].text_body


@BOTH
async def test_a_link_without_a_place_for_the_token_is_refused(mailer, send, link_argument, link_name):
    with pytest.raises(ValueError, match=r"\{token\}"):
        await send(mailer, to="ada@example.com", token="t0ken", **{link_argument: "https://example.com"})


async def test_the_built_in_texts_can_be_rendered_separately():
    text = await default_renderer().render_async("verify.txt", verify_url="https://example.com/x")

    assert "https://example.com/x" in text


# Mail server outages


async def test_a_mail_server_outage_affects_no_request(other_client, outbox):
    """The e-mail waits in the outbox, so the request does not wait for the mail server."""
    client = await other_client(mail_backend="smtp", smtp_host="127.0.0.1", smtp_port=1)

    answers = [
        await client.post("/users/register", json=ADA),
        await client.post("/users/verify/request", json={"email": "ada@example.com"}),
        await client.post("/users/password-reset/request", json={"email": "ada@example.com"}),
        await client.post("/users/password-reset/request", json={"email": "eve@example.com"}),
    ]

    assert [answer.status_code for answer in answers] == [201, 202, 202, 202]
    assert len(await outbox()) == 3


# Your own tests go below; template updates never touch them.
