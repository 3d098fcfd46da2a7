"""The tests of the library hawkapi-users 0.2.0, run against a generated project.

Only their imports are changed and their conftest.py replaced (`tests/library_suite/conftest.py`).
"""

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import REPOSITORY, Render, missing, run

LIBRARY = "hawkapi-users"
SOURCE = f"{LIBRARY}==0.2.0"


@pytest.fixture(scope="session")
def library_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the library's tests, from its source distribution."""
    folder = tmp_path_factory.mktemp("library")
    # Not `--no-binary :all:`: to read the metadata, pip would then also build the build tools from source.
    download = ["download", "--quiet", "--no-deps", "--no-binary", LIBRARY, SOURCE]
    # The pip of the test environment: another one may be missing or too old for the library.
    command = [sys.executable, "-m", "pip", *download]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        missing(f"pip could not fetch the source distribution of {SOURCE}: {done.stderr.strip()[-300:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/tests"))


def test_every_test_of_the_library_passes(compiled: Render, python: Path, library_tests: Path):
    project = compiled()
    target = project / "tests" / "library"
    target.mkdir()
    for module in library_tests.glob("test_*.py"):
        source = module.read_text("utf-8")
        (target / module.name).write_text(
            source.replace("from hawkapi_users import", "from app.users import"), "utf-8"
        )
    # Replaces the project's conftest.py, which has other fixtures.
    shutil.copy(REPOSITORY / "tests" / "library_suite" / "conftest.py", target / "conftest.py")

    output = run(python, "-m", "pytest", "-q", "tests/library", cwd=project)

    written = sum(
        len(re.findall(r"^(?:async )?def test_", each.read_text(), re.M)) for each in target.glob("test_*.py")
    )
    assert written >= 29
    assert re.search(rf"^{written} passed", output, re.MULTILINE), output
