"""Browser descriptions: owners recognize their browsers, and descriptions survive browser updates."""

import pytest

from app.users.user_agents import MAX_LENGTH, UNKNOWN, browser_of

APPLE = "AppleWebKit/537.36 (KHTML, like Gecko)"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
CHROME_OS = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (
            f"{WINDOWS}; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox on Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (
            f"{WINDOWS}) {APPLE} Chrome/126.0.0.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            f"{WINDOWS}) {APPLE} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge on Windows",
        ),
        (
            f"{WINDOWS}) {APPLE} Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0",
            "Opera on Windows",
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) {WEBKIT} Version/17.5 Safari/605.1.15",
            "Safari on Mac OS X",
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT}"
            " Version/17.5 Mobile/15E148 Safari/604.1",
            "Mobile Safari on iOS",
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT}"
            " CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
            "Chrome Mobile iOS on iOS",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 10; K) {APPLE} Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile on Android",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 14; SM-S928B) {APPLE} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile"
            " Safari/537.36",
            "Samsung Internet on Android",
        ),
        ("Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", "Firefox Mobile on Android"),
        (
            f"{CHROME_OS} {APPLE} Chrome/126.0.0.0 Safari/537.36",
            "Chrome on Chrome OS",
        ),
        ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "IE on Windows"),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("okhttp/4.12.0", "okhttp"),
        ("MyApp/1.2 (build 7)", "MyApp"),
    ],
    ids=lambda value: value[-30:],
)
def test_a_browser_is_described_by_name_and_system(user_agent: str, name: str):
    assert browser_of(user_agent) == name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("rv:128.0) Gecko/20100101 Firefox/128.0", "rv:141.0) Gecko/20100101 Firefox/141.0.2"),
        (f") {APPLE} Chrome/126.0.0.0 Safari/537.36", f") {APPLE} Chrome/199.1.2.3 Safari/537.36"),
    ],
)
def test_a_browser_update_keeps_the_description(before: str, after: str):
    """Otherwise, every browser update would trigger a notice about a new login."""
    assert browser_of(f"{WINDOWS}; {before}") == browser_of(f"{WINDOWS}; {after}")


@pytest.mark.parametrize("user_agent", ["", " ", "/", " /1.0", "//////"])
def test_an_uninformative_user_agent_is_unknown(user_agent: str):
    assert browser_of(user_agent) == UNKNOWN


@pytest.mark.parametrize(
    "user_agent",
    [
        "x" * 512,
        "/" * 512,
        "(" * 512,
        "Mozilla/5.0 " * 40,
        "Firefox/" + "1" * 500,
        "Android; " * 56,
        "é" * 512,
        "<b>" * 170,
        " " * 511 + "x",
        "Mozilla/5.0 (" + ";" * 480 + ")",
    ],
    ids=lambda value: value[:12],
)
def test_an_absurd_user_agent_is_shortened(user_agent: str):
    """The description is stored in a database column and shown on one line of an e-mail."""
    assert 0 < len(browser_of(user_agent)) <= MAX_LENGTH


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("okhttp/4.12.0", "okhttp"),
        ("Not you? Call 0800 555 and tell us your password", "Not"),
        ("Your account was hacked! Call 0800 555 0199: robot/1", "Your"),
        ("Call-now the scrapeXY/1", "Call-now"),
        ("Your account was hacked! Call 0800 555 0199/1 CFNetwork/1 Darwin/22", "Your on iOS"),
        ("evil.example-iPad/1 CFNetwork/1 Darwin/22", "evil on iOS"),
        ("MyApp/1.2 CFNetwork/1408.0.4 Darwin/22.5.0", "MyApp on iOS"),
        ("Act-now:evil.example", "Act-now"),
        ("evil.example", "evil"),
        (" ", "an unknown browser"),
        ("", "an unknown browser"),
    ],
)
def test_an_unknown_browser_is_described_by_its_first_word(user_agent, name):
    assert browser_of(user_agent) == name


# Your own tests go below; template updates never touch them.
