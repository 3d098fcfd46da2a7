"""Two browsers register the same address at the same time."""

from tests.pages.conftest import log_in as log_in


async def test_a_logged_in_visitor_who_comes_second_sees_the_form_again(
    log_in, make_user, manager, monkeypatch
):
    await make_user("new@example.com")
    browser = await log_in(await make_user("ada@example.com"))

    async def not_yet(*_):
        return None

    monkeypatch.setattr(manager, "get_by_email", not_yet)
    answer = await browser.post(
        "/register", data={"email": "new@example.com", "password": "quiet harbour stone"}
    )

    assert answer.status_code == 400
    assert 'action="/logout"' in answer.text
