"""Run tests from `tests/machinery/`, together with the project's own tests, in a new project.

    uv run python tests/run_machinery.py tests/web -k cookie      # the arguments go to pytest

TEST_DATABASE_URL and TEST_REDIS_URL choose the servers, as in a project.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import WITH_FEATURES, add_machinery_tests, project_of_template, python_of_project, snapshot


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template"
        template.mkdir()
        project = project_of_template(snapshot(template), Path(folder) / "project", **WITH_FEATURES)
        add_machinery_tests(project)
        pytest = ["-m", "pytest", "-p", "tests.documented_errors", "--all"]
        command = [python_of_project(project), *pytest, *sys.argv[1:]]
        return subprocess.run(command, cwd=project, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
