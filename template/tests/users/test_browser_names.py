"""What notices call a browser: never more than a word of what it says of itself."""

import pytest

from app.users.user_agents import browser_of


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("okhttp/4.12.0", "okhttp"),
        ("Not you? Call 0800 555 and tell us your password", "Not"),
        (" ", "an unknown browser"),
        ("", "an unknown browser"),
    ],
)
def test_an_unknown_browser_is_called_by_its_first_word(user_agent, name):
    assert browser_of(user_agent) == name
