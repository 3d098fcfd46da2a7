"""Pages that are rendered once for all visitors who are not logged in."""

import pytest

EMAIL = "ada@example.com"


@pytest.fixture
def renderings(app, monkeypatch):
    """The templates that have been rendered."""
    found = []
    html = app.state.html
    render = html._render

    def note(template, context):
        found.append(template)
        return render(template, context)

    monkeypatch.setattr(html, "_render", note)
    monkeypatch.setattr(html, "_cache", {})
    return found


@pytest.mark.parametrize("path", ["/", "/login", "/register", "/forgot"])
async def test_a_second_visitor_gets_the_page_of_the_first(make_browser, renderings, path):
    first, second = [await (await make_browser()).get(path) for _ in range(2)]

    assert len(renderings) == 1
    assert first.status_code == second.status_code == 200
    assert first.text == second.text


async def test_different_values_get_a_different_page(browser, renderings):
    """Each return path, language and message of the last form requires its own page."""
    pages = [
        await browser.get("/login"),
        await browser.get("/login?next=/account/sessions"),
        await browser.get("/login", headers={"Accept-Language": "de"}),
    ]
    await browser.post("/logout", content=b"", headers={"Content-Type": "application/x-www-form-urlencoded"})
    pages.append(await browser.get("/login"))

    assert len({page.text for page in pages}) == len(renderings) == 4
    assert '"/account/sessions"' in pages[1].text
    assert '<html lang="de">' in pages[2].text
    assert "You are logged out." in pages[3].text


async def test_the_page_of_a_user_is_not_cached(browser, log_in, make_user, renderings):
    user = await make_user(EMAIL)
    person = await log_in(user)

    pages = [await person.get("/"), await person.get("/"), await browser.get("/")]

    assert [EMAIL in page.text for page in pages] == [True, True, False]
    assert renderings == ["home.html"] * 3


async def test_the_size_of_the_cache_is_limited(browser, app, renderings, monkeypatch):
    monkeypatch.setattr("app.web.html._MAX_CACHED", 3)
    for number in range(8):
        await browser.get(f"/login?next=/{number}")

    assert len(app.state.html._cache) <= 3
