"""`template-update` and `template-features`, with each version rendered once for all projects with the same
answers. Except for the secret, Copier writes the same files each time, and rendering takes longer than the
rest of an update. End-to-end tests, Copier included, are in test_update.py, test_seams.py and test_docs.py.
"""

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import yaml
from filelock import FileLock

from template_update import command, feature_commands, rendering

ANSWERS = yaml.safe_load(Path(".copier-answers.yml").read_text("utf-8"))
RENDERED = Path(ANSWERS["_src_path"]).parent / "rendered"
"""The cache is stored next to the template, whose versions no longer change."""

render_anew = rendering.render


def render_once(copies: list[rendering.Copy]) -> None:
    RENDERED.mkdir(exist_ok=True)
    for copy in copies:
        wanted = json.dumps([copy.version, copy.answers], sort_keys=True)
        rendered = RENDERED / hashlib.sha256(wanted.encode()).hexdigest()[:16]
        with FileLock(f"{rendered}.lock"):
            if not rendered.exists():
                render_anew([replace(copy, folder=rendered)])
        shutil.copytree(rendered, copy.folder)


rendering.render = render_once
(feature_commands if sys.argv[1] in ("add", "remove") else command).main()
