"""Without the parts that make updates safe, the update tests fail for the right reason."""

import shutil
import subprocess
from pathlib import Path

from conftest import REPOSITORY, Once, Render, clean_environment
from personas.edits import instead
from personas.fix import LOOK_ALIKE, VERSION, release_fix
from personas.people import A_LOOK_ALIKE
from personas.updating import differences, edited, project_of, unmerged, update, versions_of
from test_render import files_of

COPIERS_OWN_UPDATE = instead(
    "template_update/update.py",
    "        self.merger.apply(self.result)\n",
    "        from copier import run_update\n\n"
    "        run_update(str(self._project), defaults=True, overwrite=True, quiet=True)\n",
)
NO_HOOK = instead("migrations/env.py", '"process_revision_directives": place_revision,', "")


def test_copiers_own_update_silently_misplaces_an_edit(once: Once, tmp_path: Path, python: Path):
    shutil.copytree(REPOSITORY / "src", tmp_path / "src")
    COPIERS_OWN_UPDATE.make(tmp_path / "src")
    versions = versions_of(once, "the-fix", release_fix, VERSION)
    project = project_of(versions.old, tmp_path / "project", *A_LOOK_ALIKE.edits)
    fresh = edited(versions.new, tmp_path / "fresh", *A_LOOK_ALIKE.edits)
    before = files_of(project)

    code, said = update(project, python, env={"PYTHONPATH": str(tmp_path / "src")})

    assert (code, unmerged(project)) == (0, []), said
    assert differences(project, fresh, before) == ["app/users/emails.py"]
    emails = (project / "app" / "users" / "emails.py").read_text()
    place = emails.index("support@initech.example")
    assert emails.index(f"def {LOOK_ALIKE}_reminder(") < place < emails.index(f"def {LOOK_ALIKE}(")


def test_migration_tests_fail_without_the_migration_hook(compiled: Render, tmp_path: Path, python: Path):
    project = project_of(compiled(), tmp_path / "project", NO_HOOK)

    done = subprocess.run(
        [python, "-m", "pytest", "-q", "tests/test_migrations.py"],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "FAILED tests/test_migrations.py::test_a_new_revision_continues_your_own_branch" in done.stdout
