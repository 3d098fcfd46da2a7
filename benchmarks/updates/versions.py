"""Next versions of the template: fixes, features and refactorings, made from its current text.

They consist of the kinds of edits that people make (`kinds.py`), in random places, so nothing here needs to
change when the template does. A refactoring preserves the code's behavior: it renames, reorders and rewords.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import kinds
from contract import lines_after_seams
from edits import SEAMS
from places import Definition, definitions, is_valid, parsed
from seams import PHRASE

RELEASED = re.compile(r"app/\w+/migrations/|migrations/versions/|app/notes/|tests/notes/|app/users/hooks.py")
"""Files that no version changes: released migrations, and files that are copied only once."""
REFACTORED = 6
"""A refactoring changes one in this many functions."""
ALIKE = 0.6
"""How similar two definitions must be to count as the same one under a new name."""


@dataclass
class Version:
    """The changes made by a version."""

    files: dict[str, str]
    """The text of each file that the version changes or adds."""
    renamed: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """The new names of functions and classes, by path and old name."""


def blocks_of_seams(text: str) -> dict[str, str]:
    """Maps each indented seam to the line that starts its block.

    Python does not count a comment at the end of a function as part of the function, so moving functions may
    separate them.
    """
    lines = text.split("\n")
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if PHRASE in line and depth:
            above = (each for each in reversed(lines[:number]) if each.strip())
            found[line] = next((each for each in above if len(each) - len(each.lstrip()) < depth), "")
    return found


type Release = Callable[[dict[str, str], Random], dict[str, str]]
"""Takes the template's files and returns those that the version changes or adds."""


class _Draft:
    """A version that is being built."""

    code: list[str]
    """The modules that the version may change."""

    def __init__(self, files: dict[str, str], random: Random) -> None:
        self.old = files
        self._random = random
        self._count = 0
        self.files: dict[str, str] = {}
        self.code = [
            path
            for path in sorted(files)
            if path.endswith(".py") and not RELEASED.match(path) and "def " in files[path]
        ]

    def text(self, path: str) -> str:
        return self.files.get(path, self.old[path])

    def name(self) -> str:
        self._count += 1
        return f"new{self._count:03d}q{self._random.randrange(10**6):06d}"

    def change(self, path: str, *makes: kinds.Make) -> None:
        """Make one change of each kind for which the file has a place."""
        for make in makes:
            text = make(self.text(path), self.name(), self._random)
            if text is not None and is_valid(path, text):
                self.write(path, text)

    def write(self, path: str, text: str) -> None:
        """Change a file, unless a new version must not make this change (docs/releasing.md)."""
        old = self.old[path]
        keeps_lines = lines_after_seams(text).items() >= lines_after_seams(old).items()
        if keeps_lines and blocks_of_seams(text).items() >= blocks_of_seams(old).items():
            self.files[path] = text

    def some(self, start: str, count: int) -> list[str]:
        """At most *count* modules whose paths start with *start*."""
        found = [path for path in self.code if path.startswith(start)]
        return self._random.sample(found, min(count, len(found)))


def fix(files: dict[str, str], random: Random) -> dict[str, str]:
    """A fix: two modules get a check, a condition, a statement and a function, and a test module gets a test
    and an assertion.
    """
    draft = _Draft(files, random)
    for path in draft.some("app/users/", 1) + draft.some("app/", 1):
        draft.change(path, kinds.guard, kinds.condition, kinds.last_step, kinds.function)
    for path in draft.some("tests/", 1):
        draft.change(path, kinds.test, kinds.expectation)
    return draft.files


def feature(files: dict[str, str], random: Random) -> dict[str, str]:
    """A feature: a package with a test, lines above a third of the seams, and changes to a fifth of the
    modules.
    """
    draft = _Draft(files, random)
    # A limit would also have to be in SECURITY.md, so this adds none.
    seams = [seam for seam in SEAMS if "shipped_route" not in seam.shipped]
    for seam in random.sample(seams, len(seams) // 3):
        for path in (seam.path, f"{seam.path}.jinja"):
            if path in files:
                draft.files[path] = seam.add_shipped(draft.text(path))
    changes = (
        kinds.step,
        kinds.condition,
        kinds.named_result,
        kinds.function,
        kinds.imported,
        kinds.docstring,
    )
    for path in draft.some("app/", len(draft.code) // 5):
        draft.change(path, *random.sample(changes, 2))
    for path in draft.some("tests/", len(draft.code) // 20):
        draft.change(path, kinds.test, kinds.expectation)
    for path in ("AGENTS.md", "SECURITY.md"):
        draft.change(path, kinds.words(r"^(\S.*\.)$"), kinds.words(r"^(\S.*\.)$"))
    draft.files["app/shipped/__init__.py"] = '"""A new feature."""\n'
    draft.files["tests/shipped/test_shipped.py"] = "def test_shipped():\n    assert True\n"
    return draft.files


def refactoring(files: dict[str, str], random: Random) -> dict[str, str]:
    """A refactoring: modules get new names for locals and functions, a new order and new wording."""
    draft = _Draft(files, random)
    everything = Counter(word for text in files.values() for word in re.findall(r"\w+", text))
    for path in draft.code:
        functions = len(re.findall(r"^\s*(?:async )?def ", files[path], re.MULTILINE))
        wanted = functions // REFACTORED + (random.random() < functions % REFACTORED / REFACTORED)
        for _ in range(wanted):
            draft.change(
                path, random.choice((kinds.renamed_local, kinds.named_result, kinds.docstring, kinds.comment))
            )
        if random.random() < 0.2:
            draft.change(path, lambda text, _, random: kinds.swapped(text, random))
        if random.random() < 0.5:
            _rename_function(draft, path, everything, random)
    return draft.files


def _rename_function(draft: _Draft, path: str, everything: Counter[str], random: Random) -> None:
    """Rename a private function that no other file uses."""
    text = draft.text(path)
    names = [
        name
        for name in re.findall(r"^(?:async )?def (_[a-z]\w+)\(", text, re.MULTILINE)
        if everything[name] == len(re.findall(rf"\b{name}\b", draft.old[path]))
    ]
    if names:
        old = random.choice(names)
        draft.write(path, re.sub(rf"\b{old}\b", f"{old}_{draft.name()}", text))


RELEASES: dict[str, Release] = {"fix": fix, "feature": feature, "refactoring": refactoring}


def texts(folder: Path) -> dict[str, str]:
    """Every text file in a template or a rendered project, by path, excluding secrets and answers."""
    left_out = (".env", ".copier-answers.yml")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in left_out)
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: content.decode() for name, content in contents.items() if _is_text(name, content)}


def _is_text(name: str, content: bytes) -> bool:
    return b"\0" not in content and not name.endswith(".gz") and not name.startswith(".git/")


def compared(old: dict[str, str], new: dict[str, str]) -> Version:
    """The changes that a version with the files *new* makes to *old*."""
    files = {path: text for path, text in new.items() if old.get(path) != text}
    code = [path for path in files if path.endswith(".py") and path in old]
    return Version(files, {path: dict(_renamed(old[path], new[path])) for path in code})


def _renamed(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Maps each qualified name that is gone to the name of the new definition that resembles it most."""
    before, after = (
        {name: _words(text, node) for name, node in definitions(parsed(text))} for text in (old, new)
    )
    came = [name for name in after if name not in before]
    for gone in (name for name in before if name not in after):
        likeness = {name: _likeness(before[gone], after[name]) for name in came}
        best = max(likeness, key=lambda name: likeness[name], default="")
        if best and likeness[best] > ALIKE:
            yield gone, best


def _words(text: str, definition: Definition) -> Counter[str]:
    lines = text.split("\n")[definition.lineno - 1 : definition.end_lineno]
    return Counter(re.findall(r"\w+", "\n".join(lines)))


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / (one.total() + other.total())


def changed_lines(old: dict[str, str], version: Version) -> int:
    """The number of lines of *old* that the version changes or removes."""
    return sum(
        (Counter(old[path].split("\n")) - Counter(text.split("\n"))).total()
        for path, text in version.files.items()
        if path in old
    )
