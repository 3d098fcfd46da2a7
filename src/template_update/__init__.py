"""`template-update`: merge a new version of the template into a project that was generated from it.

The tool belongs to the template, not to the projects. uv runs it from the template's repository, in the
version to update to; `app template-update` in a project does that. So the newest tool updates the oldest
project, and a bug in an old tool does no harm.

It runs in an environment that uv makes for it, and in the project's folder:

1. `template.py` reads `.copier-answers.yml`, clones the template and finds the version to update to.
2. `rendering.py` renders the old and the new version with the project's answers, by Copier.
3. `formatting.py` formats both as the project is formatted.
4. `merge.py` merges the difference into the project's last commit, in git's storage. `update.py` joins
   these steps and has a sentence for each file that a person has to look at.
5. `command.py` prints that, changes the working tree, and runs the project's migrations, checks and tests.
   `project.py` runs them by uv, in the project's own environment.

What holds for every change of it:

- It updates projects of all versions. So all that it may know of a project is `.copier-answers.yml`, git, the
  folders `app/` and `migrations/`, and the commands `app db upgrade`, `app db check`, `ruff` and `pytest`. It
  imports nothing of the project, which may not even start.
- Nothing in the project changes before the merge is complete, and nothing is committed.
- Exit codes: 0, nothing is left to do; 1, something needs a person; 2, `--check` found a new version.
- Projects pass their options on to it, also old ones: an option keeps its name and its meaning.
"""
