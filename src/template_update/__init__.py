"""`template-update`: merge a new version of the template into a project that was generated from it.
`template-features`: list, add and remove features of the version that the project has.

The tool is part of the template, not of the projects. `app template-update` in a project has uv run it from
the template's repository, in the version to update to. So the newest tool also updates the oldest project.
`app features`, `app add` and `app remove` also run the newest tool.

It runs in its own environment, which uv creates, and in the project's folder:

1. `repository.py` finds the project's repository and refuses states in which an update cannot be undone.
   `template.py` reads `.copier-answers.yml`, clones the template and finds the version to update to.
2. `rendering.py` renders the old and the new version with Copier and the project's answers, and with the
   shortcut in `copier_command.py`.
3. `formatting.py` formats both as the project is formatted: with ruff, or with Black and isort.
   `line_endings.py` ends their lines as the project does.
4. `merge.py` merges the difference into the project's last commit, in git's object database and in a
   repository of its own, which the user's settings do not reach. `losses.py` finds what `copier update` has
   lost before. `update.py` runs these steps and writes a sentence for each file that needs attention.
   `review.py` finds what a merge without a conflict may have got wrong: `python_files.py` reads each version,
   `meaning.py` and `uses.py` compare names, `columns.py` the database, `moved_code.py` follows functions, and
   `returned.py` finds removed lines that are back.
5. `run.py` prints the sentences and has `repository.py` change the working tree. `checks.py` runs the
   project's migrations, checks and tests. `project.py` runs them with uv, in the project's environment.
   `type_errors.py` finds the errors of pyright that are new.
6. If there are conflicts, `what_merged.py` checks the rest in a copy of the project (`copies.py`).
   `dossier.py` describes each conflict in a folder: `conflicts.py` and `related_tests.py` find out what there
   is to say. `resume.py` is `--continue`.

`report.py` is what a run says, `progress.py` on a terminal and `summary.py` as Markdown for a request.
`command.py` and `feature_commands.py` have the commands. `features.py` knows what features need.
`revisions.py` handles the migrations of a feature that is removed or comes back. `export.py` saves its rows.

Rules for every change of this tool:

- It updates projects of all versions. It may rely only on `.copier-answers.yml`, git, the folders `app/` and
  `migrations/`, and the commands `app db upgrade`, `app db check`, `ruff`, `pyright` and `pytest`. To remove
  a feature with tables it also needs `app db tables --json`, `app db revision` and, for `--export`, `app db
  export`. It never imports the project, which may not even start.
- Nothing in the project changes before the merge is complete. Then all of it is written, or nothing. Nothing
  is committed.
- Exit codes: 0, nothing is left to do; 1, something needs attention; 2, `--check` found a new version, and
  nothing else.
- Paths in sentences and data are those from the project's folder, and every command works there.
- `--json` keeps its names, and new ones may be added.
- Projects of all versions pass their options to it, so an option keeps its name and its meaning.
"""
