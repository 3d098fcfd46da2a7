"""Rates: a count in a period, and error messages for invalid ones."""

import pytest

from app.limits import Rate


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("10/15m", 10, 900),
        ("5/h", 5, 3600),
        ("3/30s", 3, 30),
        ("100/d", 100, 86_400),
        ("1/s", 1, 1),
        ("1000000/366d", 1_000_000, 366 * 86_400),
        (" 10/15m ", 10, 900),
        ("007/01m", 7, 60),
    ],
)
def test_a_rate_has_a_short_notation(text: str, count: int, seconds: int):
    assert Rate.parse(text) == Rate(count, seconds)


WRONG = ["", "10", "10/", "/m", "10/15", "m/10", "ten/m", "١٠/m", "1_0/m", "1.5/m", "-1/m", "+1/m", "10/15 m"]
WRONG_UNITS = ["10/m/ip", "10/15min", "10/M", "10/y", "10/m\n5/h"]


@pytest.mark.parametrize("text", [*WRONG, *WRONG_UNITS])
def test_an_invalid_rate_is_explained(text: str):
    with pytest.raises(ValueError, match="such as 10/15m or 5/h"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["0/m", "1000001/m"])
def test_an_invalid_count_is_explained(text: str):
    with pytest.raises(ValueError, match="must allow 1 to 1_000_000"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["1/0s", "1/367d", f"1/{10**30}d"])
def test_an_invalid_period_is_explained(text: str):
    with pytest.raises(ValueError, match="366 days"):
        Rate.parse(text)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_number_is_explained(seconds: float):
    with pytest.raises(ValueError, match="366 days"):
        Rate(1, seconds)


@pytest.mark.parametrize(
    ("rate", "interval"),
    [(Rate(10, 900), 90_000_000), (Rate(3, 1), 333_334), (Rate(1_000_000, 1), 1), (Rate(1_000_000, 0.1), 1)],
)
def test_the_interval_is_rounded_up(rate: Rate, interval: int):
    """Otherwise the rate could be exceeded."""
    assert rate.interval == interval
