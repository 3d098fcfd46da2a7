"""The layout of every page, including error pages."""

import pytest

from app.users import User, UserManager


@pytest.fixture
def failing(monkeypatch):
    """A page whose form fails while it is saved, which expires the user's row."""

    async def update(self, db, user, **changes):
        db.add(User(email=user.email, hashed_password=""))
        await db.flush()

    monkeypatch.setattr(UserManager, "update_profile", update)


async def test_the_error_page_after_a_failed_flush_still_shows_its_user(log_in, make_user, failing):
    browser = await log_in(await make_user(is_superuser=True))

    answer = await browser.post("/language", data={"language": "de"})

    assert answer.status_code == 409
    assert '<a href="/admin">' in answer.text
