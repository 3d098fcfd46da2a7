"""A pytest plugin that skips tests that use no database: `-p tests.only_with_the_database`. Their results do
not depend on the database, so one run is enough.
"""

import inspect

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not uses_the_database(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


def uses_the_database(item: pytest.Item) -> bool:
    """Whether *item* uses the database, through a fixture or directly."""
    assert isinstance(item, pytest.Function)
    return "database_url" in item.fixturenames or "TEST_DATABASE_URL" in inspect.getsource(item.function)
