"""The language of the pages: chosen in the footer, for the browser and for the account."""

import pytest
from sqlalchemy import event

from app.users.exceptions import SessionEnded

EMAIL = "ada@example.com"


@pytest.fixture
def statements(app):
    """The statements that the database has executed."""
    found = []

    def note(connection, cursor, statement, *_):
        found.append(statement)

    engines = [each.engine.sync_engine for each in app.state.db.engines.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def is_german(page):
    return '<html lang="de">' in page.text and page.headers["content-language"] == "de"


@pytest.fixture
def stored(db, manager):
    """`await stored()`: the account as it is in the database."""

    async def read():
        async with db.session(commit=False) as session:
            return await manager.get_by_email(session, EMAIL)

    return read


async def test_the_footer_sets_the_language_of_browser_and_account(log_in, make_browser, make_user, stored):
    user = await make_user(EMAIL)
    browser, elsewhere = await log_in(user), await log_in(user)

    answer = await browser.post("/language", data={"language": "de", "next": "/account"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert "language=de" in answer.headers["set-cookie"]
    assert (await stored()).language == "de"
    assert is_german(await browser.get("/account"))
    assert is_german(await elsewhere.get("/account"))


async def test_without_a_login_the_footer_sets_the_language_of_the_browser(browser):
    await browser.post("/language", data={"language": "de"})

    assert is_german(await browser.get("/login"))


@pytest.mark.parametrize("path", ["/login", "/login?next=/account/sessions"])
async def test_the_footer_leads_back_to_the_same_page(browser, path):
    page = await browser.get(path)

    assert f'<input type="hidden" name="next" value="{path}">' in page.text


async def test_a_regional_language_is_sent_as_a_bcp_47_tag(browser, monkeypatch):
    codes = ["en", "pt_BR"]
    monkeypatch.setattr("app.i18n.languages", lambda: codes)
    monkeypatch.setattr("app.i18n.names", lambda: {"en": "English", "pt_BR": "português"})
    browser.headers["Accept-Language"] = "pt-BR"

    page, error = await browser.get("/login"), await browser.get("/no/such/page", headers={"Accept": "*/*"})

    assert '<html lang="pt-BR">' in page.text
    assert 'value="pt_BR" lang="pt-BR" aria-current="true"' in page.text
    assert page.headers["content-language"] == error.headers["content-language"] == "pt-BR"


async def test_an_unknown_language_changes_nothing(log_in, make_user, stored):
    browser = await log_in(await make_user(EMAIL, language="de"))

    answer = await browser.post("/language", data={"language": "fr"})

    assert answer.status_code == 303
    assert "language=" not in answer.headers.get("set-cookie", "")
    assert (await stored()).language == "de"


async def test_the_setting_of_the_account_overrides_the_browser(log_in, make_user):
    browser = await log_in(await make_user(EMAIL, language="de"))
    browser.cookies.set("language", "en", domain="test.local", path="/")

    page = await browser.get("/account", headers={"Accept-Language": "en"})
    error = await browser.get("/admin", headers={"Accept-Language": "en"})

    assert is_german(page)
    assert error.status_code == 403
    assert is_german(error)


async def test_the_language_of_the_account_costs_no_extra_query(log_in, make_user, statements):
    browsers = [
        await log_in(await make_user(f"{language}@example.com", language=language))
        for language in ("en", "de")
    ]

    counts = []
    for browser in browsers:
        statements.clear()
        await browser.get("/account")
        counts.append(len(statements))

    assert counts[0] == counts[1] > 0


async def test_a_session_that_ends_before_the_form_arrives_changes_only_the_browser(
    log_in, make_user, manager, stored, monkeypatch
):
    browser = await log_in(await make_user(EMAIL))
    by_id, calls = manager.sessions.by_id, []

    async def ended_meanwhile(db, session_id):
        calls.append(session_id)
        if len(calls) > 1:
            raise SessionEnded
        return await by_id(db, session_id)

    monkeypatch.setattr(manager.sessions, "by_id", ended_meanwhile)
    answer = await browser.post("/language", data={"language": "de"})

    assert (answer.status_code, "language=de" in answer.headers["set-cookie"]) == (303, True)
    assert (await stored()).language is None
