"""A pytest plugin that leaves out the tests without a database: `-p tests.only_with_the_database`.

What they say is the same whatever database there is, so one run of them is enough.
"""

import inspect

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not uses_the_database(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


def uses_the_database(item: pytest.Item) -> bool:
    """Whether *item* gets the database from a fixture, or looks for its server itself."""
    assert isinstance(item, pytest.Function)
    return "database_url" in item.fixturenames or "TEST_DATABASE_URL" in inspect.getsource(item.function)
