"""Reports what happened to each e-mail, for features that count outcomes. Template-owned.

A feature adds a function to LISTENERS when it is imported. The function is called in the worker's process.
"""

from collections.abc import Callable
from typing import Literal, get_args

from hawkapi_sqlalchemy import Database

from app.database import services_of_database
from app.services import Services

type Outcome = Literal["sent", "retried", "dead", "suppressed", "discarded"]
"""`retried`: an attempt failed, and another will follow. `dead`: set aside. `suppressed`: all of the
e-mail's recipients are suppressed (see `suppression.py`). `discarded`: not meant to be sent (see `enqueue`).
"""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome.__value__)

LISTENERS: list[Callable[[Services, Outcome, int], None]] = []
"""Called with the application's services, the outcome, and the number of e-mails with that outcome."""


def tell(database: Database, outcome: Outcome, number: int = 1) -> None:
    """Call the functions in LISTENERS."""
    for listen in LISTENERS:
        listen(services_of_database(database), outcome, number)
