"""A rate: so many in so long. Written as 10/15m, 5/h, 3/30s or 100/d."""

import math
import re
from dataclasses import dataclass
from typing import Self

_TEXT = re.compile(r"([0-9]+)/([0-9]*)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}
_MAX_COUNT = 1_000_000
_MAX_SECONDS = 366 * _SECONDS["d"]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds.

    All of them may come at once; then one more is allowed each `seconds / count`. After a pause of `seconds`
    all are there again.

    Raises:
        ValueError: nothing would ever be allowed, or no limiter could count so far.
    """

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MAX_COUNT:
            raise ValueError(f"A rate allows 1 to {_MAX_COUNT:_}, and not {self.count}.")
        if not 0 < self.seconds <= _MAX_SECONDS:
            raise ValueError(f"A rate is for more than 0 and at most {_MAX_SECONDS} seconds (366 days).")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`Rate.parse("10/15m")`: ten in fifteen minutes. The units are s, m, h and d.

        Raises:
            ValueError: *text* is no rate; the sentence says what one looks like.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a rate: write how many in how long, such as 10/15m or 5/h.")
        count, number, unit = found.groups()
        return cls(int(count), float(int(number or 1) * _SECONDS[unit]))

    @property
    def interval(self) -> int:
        """Microseconds until one more is allowed. Whole, since sums of fractions drift; rounded up."""
        return math.ceil(self.seconds * 1_000_000 / self.count)
