"""Features can add links, event descriptions, messages and previews to the pages."""

import pytest

from app.i18n import using
from app.pages import events, links, mail_previews, messages
from app.users import emails, record

EMAIL = "ada@example.com"


async def test_a_link_is_added_to_the_account_page(app, log_in, make_user):
    browser = await log_in(await make_user(EMAIL))
    links.add_to_account(app, links.Link("/account/things", "Show", "All of them.", heading="Things"))

    page = (await browser.get("/account")).text

    assert "<h2>Things</h2>" in page
    assert "All of them." in page
    assert 'href="/account/things">Show</a>' in page


async def test_an_administration_link_contains_the_account_id(app, log_in, make_user):
    ada = await make_user(EMAIL)
    browser = await log_in(await make_user("root@example.com", is_superuser=True))
    links.add_to_administration(app, links.Link("/admin/users/{user_id}/things", "Things", "See them."))

    page = (await browser.get(f"/admin/users/{ada.id}")).text

    assert f'href="/admin/users/{ada.id}/things" aria-label="Things: {EMAIL}"' in page


@pytest.mark.parametrize(
    ("outcome", "method", "sentence"),
    [
        ("success", "cookie", "A thing was made"),
        ("success", "app", "A thing was made by the app"),
        ("failure", "cookie", "Someone tried to make a thing"),
    ],
)
async def test_an_event_is_described_in_words(log_in, make_user, db, monkeypatch, outcome, method, sentence):
    made = {"thing_made": "A thing was made", "thing_made app": "A thing was made by the app"}
    monkeypatch.setattr(events, "SENTENCES_OF_FEATURES", made)
    monkeypatch.setattr(events, "REFUSALS_OF_FEATURES", {"thing_made": "Someone tried to make a thing"})
    browser = await log_in(user := await make_user(EMAIL))
    async with db.session() as session:
        record(session, "thing_made", user.id, outcome=outcome, method=method)

    page = await browser.get("/account/activity")

    assert f"<strong>{sentence}</strong>" in page.text


async def test_a_message_is_shown_in_the_language_of_the_reader(browser, monkeypatch):
    monkeypatch.setitem(messages.MESSAGES_OF_FEATURES, "thing_made", "You are logged in.")
    browser.cookies.set("__Host-message", "thing_made", domain="test.local", path="/")
    with using("de"):
        german = messages.sentences()["logged_in"]

    page = await browser.get("/login", headers={"Accept-Language": "de"})

    assert german in page.text


async def test_a_notice_has_a_preview(app, monkeypatch):
    monkeypatch.setitem(emails.NOTICES_OF_FEATURES, "thing_made", emails.Notice("A thing", "It was made."))

    mail = await mail_previews.preview(app.state, "thing_made")

    assert "It was made." in mail.text_body


# Your own tests go below; template updates never touch them.
