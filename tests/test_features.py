"""Adding and removing features: removing restores every byte, and the order of adding does not matter.

Most of these tests only merge, in one process, with the whole template and a planted feature with a table.
The commands are in test_feature_commands.py, and the planted feature runs in test_feature_with_tables.py.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY, Once, Render, commit, run
from copier import run_copy
from personas.edits import Edit
from personas.people import (
    A_COLUMN,
    A_ROUTE,
    MIDDLEWARE,
    OTHER_MAILS,
    REFORMATTED,
    SETTINGS,
    Persona,
)
from personas.updating import project_of, update

from template_update import rendering
from template_update.update import Update

FEATURES = [
    "docker",
    "email_login",
    "from_hawkapi_users",
    "ledger",
    "mail_webhooks",
    "observability",
    "pages",
    "passkeys",
    "totp",
]
ALONE = ["devcontainer", "pre_commit", "update_workflow", "vscode"]
"""Features that consist only of their own files, so nothing can depend on the order."""
NONE: dict[str, bool] = dict.fromkeys(FEATURES + ALONE, False)
SOME = (A_COLUMN, A_ROUTE, OTHER_MAILS, MIDDLEWARE, SETTINGS)
EDITED = [
    Persona("the edits of five people", tuple(edit for each in SOME for edit in each.edits)),
    REFORMATTED,
]

type Change = Callable[[Path, dict[str, object]], str]
type New = Callable[..., Path]


@pytest.fixture
def rendered(planted: Path, once: Once, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without features. Copier renders each set of answers only once."""

    def make(answers: dict[str, object]) -> Path:
        def fill(folder: Path) -> None:
            run_copy(str(planted), folder, data=answers, vcs_ref="1.0.0", defaults=True, quiet=True)

        name = "-".join(str(answers[each]) for each in (*NONE, "ci", "database"))
        return once(f"features-{name}", fill)

    def render(copies: list[rendering.Copy]) -> None:
        for copy in copies:
            shutil.copytree(make(copy.answers), copy.folder)

    monkeypatch.setattr(rendering, "render", render)
    return make(NONE | {"ci": "github", "database": "sqlite"})


@pytest.fixture
def new(rendered: Path, tmp_path: Path) -> New:
    """`new(*edits)`: a committed project without features."""

    def make(*edits: Edit) -> Path:
        return project_of(rendered, tmp_path / "project", *edits)

    return make


@pytest.fixture
def change(tmp_path_factory: pytest.TempPathFactory) -> Change:
    """`change(project, {"pages": True})`: commit the update tool's result for these answers. Returns its
    tree.
    """

    def change(project: Path, answers: dict[str, object]) -> str:
        changing = Update(project, tmp_path_factory.mktemp("update"), say=lambda _: None)
        changing.fetch()
        changing.to_answers(answers)
        changing.render()
        changing.merge()
        assert [each.sentence for each in changing.findings()] == []
        changing.apply()
        commit(project, str(answers))
        return tree(project)

    return change


def tree(project: Path) -> str:
    return run("git", "rev-parse", "HEAD^{tree}", cwd=project)


def yes(features: Iterable[str]) -> dict[str, bool]:
    return dict.fromkeys(features, True)


@pytest.mark.parametrize("persona", [None, *EDITED], ids=lambda persona: str(persona or "a new project"))
def test_adding_and_removing_a_feature_changes_nothing(new: New, change: Change, persona):
    project = new(*persona.edits) if persona else new()
    before = tree(project)

    for feature in FEATURES + (ALONE if persona is None else []):
        with_it, without = change(project, {feature: True}), change(project, {feature: False})

        assert with_it != before
        assert without == before, feature


def test_the_order_of_adding_does_not_matter(new: New, change: Change):
    """Each feature is added before and after each other one, and all are added together."""
    project = new()
    start = run("git", "rev-parse", "HEAD", cwd=project).strip()
    before = tree(project)

    results = {change(project, yes(FEATURES))}
    removed = change(project, NONE)
    for order in (FEATURES, FEATURES[::-1]):
        run("git", "checkout", "--quiet", start, cwd=project)
        for feature in order:
            change(project, {feature: True})
        results.add(tree(project))

    assert len(results) == 1
    assert removed == before


def test_each_feature_is_a_question_that_is_yes_or_no():
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))
    features = yaml.safe_load((REPOSITORY / "features.yml").read_text("utf-8"))

    assert list(features) == sorted(features)
    for name, about in features.items():
        assert set(about) == {"does", "needs"}
        assert about["does"].endswith(".")
        assert len(about["does"]) <= 100
        assert "\n" not in about["does"]
        assert set(about["needs"]) <= features.keys() - {name}
        assert questions[name]["type"] == "bool"
        # No project gets a feature that it was not asked about.
        assert questions[name]["default"] is False or questions[name].get("ask", True)


def test_other_answers_come_and_go_as_well(new: New, change: Change):
    project = new(*A_COLUMN.edits)
    before = tree(project)

    for there, back in (
        ({"ci": "gitlab"}, {"ci": "github"}),
        ({"ci": "none", "pages": True}, {"ci": "github", "pages": False}),
        ({"database": "postgresql"}, {"database": "sqlite"}),
    ):
        changed, restored = change(project, there), change(project, back)

        assert changed != before
        assert restored == before


def test_answers_are_changed_by_the_whole_command(render: Render, tmp_path: Path, python: Path):
    project = project_of(render(), tmp_path / "project", *A_COLUMN.edits, *A_ROUTE.edits)
    before = tree(project)

    off, said = update(project, python, "--answers", "docker=false", "--answers", "pages=false")
    commit(project, "Off")
    left = [name for name in ("Dockerfile", "app/pages", "tests/pages") if (project / name).exists()]
    on, said_again = update(project, python, "--answers", "docker=true", "--answers", "pages=true")
    commit(project, "On again")

    assert (off, on, left) == (0, 0, []), said + said_again
    assert tree(project) == before
