"""A plugin of pytest that leaves out the tests that do not use the database: `-p tests.only_with_the_database`.

What they say is the same whatever database there is, so one run of them is enough.
"""

import inspect

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not uses_the_database(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


def uses_the_database(item: pytest.Item) -> bool:
    """Whether *item* is given the database of the run, by whatever fixtures, or looks for its server itself."""
    assert isinstance(item, pytest.Function)
    return "database_url" in item.fixturenames or "TEST_DATABASE_URL" in inspect.getsource(item.function)
