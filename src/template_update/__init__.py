"""`template-update`: merge a new version of the template into a project that was generated from it.
`template-features`: list, add and remove features of the template version that the project uses.

The tool is part of the template, not of the generated projects. In a project, `app template-update` uses uv
to run the tool from the template's repository, at the target version. The latest tool can therefore update
even the oldest project. `app features`, `app add` and `app remove` also run the latest version of the tool.

The tool runs in the project's folder, in its own environment, which uv creates. These are its steps:

1. `repository.py` finds the project's repository and stops if git could not undo an update. `template.py`
   reads `.copier-answers.yml`, clones the template and finds the version to update to.
2. `rendering.py` renders the old and the new version with Copier and the project's answers.
   `copier_command.py` makes rendering faster.
3. `formatting.py` formats both versions the way the project is formatted: with ruff, or with Black and isort.
   `line_endings.py` gives them the project's line endings.
4. `merge.py` merges the difference into the project's last commit, in git's object database. It uses a
   separate repository, so that the user's git settings have no effect. `losses.py` finds changes that an
   earlier `copier update` lost. `update.py` runs these steps and writes a message for each file that needs
   attention. `review.py` finds what a conflict-free merge may have gotten wrong: `python_files.py` reads each
   version, `meaning.py` and `uses.py` compare names, `columns.py` compares columns and tables,
   `moved_code.py` follows functions that were moved, `returned.py` finds removed lines that came back, and
   `misplaced.py` finds lines that ended up in a different function.
5. `run.py` prints the messages and calls `repository.py` to change the working tree. `checks.py` runs the
   project's migrations, checks and tests. `project.py` runs the project's tools with uv, in the project's
   environment. `type_errors.py` finds new pyright errors.
6. If there are conflicts, `what_merged.py` uses a copy of the project (`copies.py`) to check everything that
   merged cleanly. `dossier.py` describes each conflict in a folder: `conflicts.py` and `related_tests.py`
   collect the details. `resume.py` implements `--continue`.

`report.py` prints the output of a run. `progress.py` shows its steps on a terminal, and `summary.py` writes
a Markdown summary for a pull or merge request. `command.py` and `feature_commands.py` define the commands.
`features.py` knows which features require which others. `revisions.py` handles the migrations of a feature
that is removed or added again. `export.py` exports the rows in the feature's tables.

Rules for every change to this tool:

- The tool updates projects of all versions. It may rely only on `.copier-answers.yml`, git, the folders
  `app/`, `migrations/` and `tests/`, and the commands `app db upgrade`, `app db check`, `ruff`, `pyright` and
  `pytest`. To remove a feature with tables, it also needs `app db tables --json`, `app db revision` and, for
  `--export`, `app db export`. It never imports the project, which may not even start.
- Nothing in the project changes before the merge is complete. The result is then written completely or not at
  all. The tool never commits.
- Exit code 0 means that nothing is left to do, 1 that something needs attention, and 2 only that `--check`
  found a new version.
- Paths in messages and data are relative to the project's folder, and every suggested command works there.
- The output of `--json` keeps its existing keys. New ones may be added.
- The name and the meaning of an option never change, because projects of all versions pass their options to
  the tool.
"""
