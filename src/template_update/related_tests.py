"""Finds the tests that show whether a project file works."""

from collections.abc import Callable, Collection
from pathlib import PurePosixPath

ALL = "tests"
_MOST = 5
"""If more test files than this import a module, the module is used almost everywhere, and its package's tests
reveal more.
"""


def related_tests(path: str, files: Collection[str], importing: Callable[[str], list[str]]) -> list[str]:
    """The pytest arguments that select the tests for the file *path*.

    *files* are the project's files. *importing* returns the tests that import a module.
    """
    file = PurePosixPath(path)
    if file.parts[0] == ALL:
        return [path] if file.match("test_*.py") else [file.parent.as_posix()]
    if file.parts[0] != "app" or len(file.parts) < 3:
        return [ALL]
    names = [*file.parts[1:-1], file.stem]
    found = [each for each in _named_alike(names) if each in files][:1]
    if file.suffix == ".py":
        module = ".".join(["app", *(names[:-1] if file.stem == "__init__" else names)])
        found += [each for each in importing(module) if each not in found]
    if 0 < len(found) <= _MOST:
        return sorted(found)
    folder = f"{ALL}/{names[0]}"
    return [folder] if any(each.startswith(f"{folder}/test_") for each in files) else [ALL]


def _named_alike(names: list[str]) -> list[str]:
    """The tests whose names match the path, closest match first. For app/users/emails/verify.txt, these
    include tests/users/emails/test_verify.py and tests/users/test_emails.py.
    """
    return [
        "/".join([ALL, *names[: end - 1], f"test_{names[end - 1]}.py"]) for end in range(len(names), 0, -1)
    ]
