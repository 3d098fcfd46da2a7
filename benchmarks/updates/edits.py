"""The kinds of edits that people make to their projects, and projects with random combinations of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import kinds
from kinds import Make
from places import is_valid
from seams import SEAMS, Seam

SEAM, ELSEWHERE, AT_RANDOM = "at seams", "elsewhere", "at random"
SHARES = {SEAM: 0.2, ELSEWHERE: 0.6, AT_RANDOM: 0.2}
"""The share of each group in a project's edits."""


@dataclass(frozen=True)
class Edit:
    """A kind of meaningful change in one file."""

    what: str
    path: str
    make: Make
    group: str = ELSEWHERE
    keeps_tests: bool = True
    """Whether a project with this edit still passes its tests."""
    deletes: bool = False
    """Whether the edit only deletes lines. In that case, its name is not in the text."""


@dataclass(frozen=True)
class Made:
    """An edit in a project."""

    edit: Edit
    name: str
    """A word that is in the project only because of this edit."""
    gone: tuple[str, ...]
    """Lines that occurred exactly once in the file and are now gone."""


@dataclass
class Edited:
    """A project with edits."""

    files: dict[str, str] = field(default_factory=dict[str, str])
    """The text of each edited file."""
    made: list[Made] = field(default_factory=list[Made])


def edited(files: dict[str, str], random: Random, count: int, *, keeps_tests: bool = False) -> Edited:
    """A project with *files* and about *count* edits. With *keeps_tests*, its tests still pass."""
    known = [each for each in LIBRARY if each.path in files and (each.keeps_tests or not keeps_tests)]
    groups = {name: [each for each in known if each.group == name] for name in (SEAM, ELSEWHERE)}
    wanted = {name: min(round(count * SHARES[name]), len(each)) for name, each in groups.items()}
    chosen = [each for name, group in groups.items() for each in random.sample(group, wanted[name])]
    chosen += _at_random(files, random, count - len(chosen), keeps_tests=keeps_tests)
    random.shuffle(chosen)
    project = Edited()
    for number, edit in enumerate(chosen):
        before = project.files.get(edit.path, files[edit.path])
        name = f"own{number:03d}q{random.randrange(10**6):06d}"
        after = edit.make(before, name, random)
        if after is not None and after != before and is_valid(edit.path, after):
            project.files[edit.path] = after
            project.made.append(Made(edit, name, tuple(_gone(before, after))))
    _forget_overwritten(project)
    return project


def _at_random(files: dict[str, str], random: Random, count: int, *, keeps_tests: bool) -> Iterator[Edit]:
    """Added comments and changed, added or deleted lines, anywhere in the code."""
    paths = sorted(path for path in files if path.startswith(("app/", "tests/")) and path.endswith(".py"))
    changes = {"a comment": kinds.comment, "a line changed": kinds.remark, "a line added": kinds.step}
    if not keeps_tests:
        changes["a line deleted"] = kinds.statement_removed
    for _ in range(count):
        what = random.choice(list(changes))
        yield Edit(
            what,
            random.choice(paths),
            make := changes[what],
            AT_RANDOM,
            deletes=make is kinds.statement_removed,
        )


def _gone(before: str, after: str) -> Iterator[str]:
    old, new = before.split("\n"), set(after.split("\n"))
    return (each for each in old if len(each.strip()) > 12 and each not in new and old.count(each) == 1)


def _forget_overwritten(project: Edited) -> None:
    """Drop edits that a later edit removed or overwrote."""
    project.made = [
        each
        for each in project.made
        if each.edit.deletes or each.name in project.files[each.edit.path].lower()
    ]


def _below(seam: Seam) -> Make:
    """Adds lines below a seam, with the edit's name in them."""

    def make(text: str, name: str, _: Random) -> str | None:
        own = re.sub(r"(?<![A-Za-z])own", name, seam.own)
        own = re.sub(r"Own(?![a-z])", name.capitalize(), own)
        own = re.sub(r"(?<![A-Z])OWN", name.upper(), own)
        own = own.replace("decimal as decimal", f"decimal as {name}")
        if name not in own.lower():
            own = own.rstrip("\n") + f"  # {name}\n"
        try:
            return Seam(seam.path, seam.things, own).add_own(text)
        except ValueError:
            # The template has no seam with this text.
            return None

    return make


def _library() -> Iterator[Edit]:
    for seam in SEAMS:
        yield Edit(f"own {seam.things}", seam.path, _below(seam), SEAM)
    for path in (*_RULES, *_ROUTES, *_PAGES):
        yield Edit("a check", path, kinds.guard)
        yield Edit("a line", path, kinds.step)
    for path in (*_RULES, *_ROUTES):
        yield Edit("another local name", path, kinds.renamed_local)
    for path in _RULES:
        yield Edit("a condition", path, kinds.condition)
        yield Edit("a docstring", path, kinds.docstring)
    for path in _RULES[:6]:
        yield Edit("a parameter", path, kinds.parameter)
        yield Edit("a function", path, kinds.function)
        yield Edit("a named result", path, kinds.named_result)
        yield Edit("another error message", path, kinds.error_text, keeps_tests=False)
    for path in (*_ROUTES, *_PAGES[:2]):
        yield Edit("a route", path, kinds.route)
        yield Edit("an import", path, kinds.imported)
    for path in _TESTS:
        yield Edit("a test", path, kinds.test)
        yield Edit("an expectation", path, kinds.expectation)
        yield Edit("a test removed", path, kinds.test_removed, deletes=True)
    for path in _MAILS:
        yield Edit("another e-mail text", path, kinds.words(r"^(.*\w.*)$"), keeps_tests=False)
    for path in _TEMPLATES:
        yield Edit("another page text", path, kinds.words(r">([^<>]+)</"), keeps_tests=False)
        yield Edit("a paragraph", path, kinds.line(r"^<(?:p|h1|h2)\b.*>$", "<p>NAME</p>"), keeps_tests=False)
    yield from _ELSEWHERE


_RULES = [
    "app/users/manager.py",
    "app/users/sessions.py",
    "app/users/emails.py",
    "app/users/administration.py",
    "app/users/tokens.py",
    "app/users/rate_limits.py",
    "app/users/audit.py",
    "app/users/export.py",
    "app/users/passwords/policy.py",
    "app/mail/worker.py",
    "app/web/access_log.py",
]
_ROUTES = [
    "app/users/routes/account.py",
    "app/users/routes/admin.py",
    "app/users/routes/lifecycle.py",
    "app/users/routes/registration.py",
    "app/users/routes/sessions.py",
]
_PAGES = ["app/pages/routes/account.py", "app/pages/routes/login.py", "app/pages/routes/admin.py"]
_TESTS = [
    "tests/users/test_register.py",
    "tests/users/test_login.py",
    "tests/users/test_admin.py",
    "tests/users/test_emails.py",
    "tests/pages/test_flows.py",
    "tests/test_settings.py",
]
_MAILS = [
    "app/users/emails/verify.txt",
    "app/users/emails/password_reset.txt",
    "app/users/emails/footer.txt",
    "app/users/emails/notice.txt",
]
_TEMPLATES = [
    "app/pages/templates/account.html",
    "app/pages/templates/login.html",
    "app/pages/templates/home.html",
    "app/pages/templates/register.html",
    "app/users/emails/verify.html",
    "app/users/emails/layout.html",
]
_COLUMN = "{name}: Mapped[str | None] = mapped_column(String(20), default=None)"
_ELSEWHERE = [
    Edit("a column", "app/users/models.py", kinds.field(_COLUMN), keeps_tests=False),
    Edit("a body field", "app/users/schemas.py", kinds.field('{name}: str = ""'), keeps_tests=False),
    Edit("a field's validation", "app/users/schemas.py", kinds.constant, keeps_tests=False),
    Edit("another default", "app/settings.py", kinds.constant, keeps_tests=False),
    Edit("a setting among others", "app/settings.py", kinds.field('{name}: str = ""'), keeps_tests=False),
    Edit("a method", "app/users/manager.py", kinds.method),
    Edit("a method", "app/users/sessions.py", kinds.method),
    Edit("a method", "app/mail/outbox.py", kinds.method),
    Edit("a method", "app/limits/redis.py", kinds.method),
    Edit("another interval", "app/users/tasks.py", kinds.constant, keeps_tests=False),
    Edit("another limit on failed logins", "app/users/manager.py", kinds.constant, keeps_tests=False),
    Edit("another lifetime", "app/users/sessions.py", kinds.constant, keeps_tests=False),
    Edit(
        "a remark on a rate limit",
        "app/users/rate_limits.py",
        kinds.behind(r'^    "\w+": Limit\(.+\),$', "  # NAME"),
    ),
    Edit(
        "a rate limit deleted",
        "app/users/rate_limits.py",
        kinds.removed(r'^    "\w+": Limit\('),
        keeps_tests=False,
        deletes=True,
    ),
    Edit("a middleware's step", "app/web/middleware.py", kinds.step),
    Edit("a middleware's header", "app/web/middleware.py", kinds.last_step),
    Edit("another startup step", "app/main.py", kinds.last_step),
    Edit("a CSRF rule", "app/web/csrf.py", kinds.condition),
    Edit("a hook's body", "app/users/hooks.py", kinds.line(r'^    """.*"""$', 'NAME = "called"')),
    Edit("a remark on a hook", "app/users/hooks.py", kinds.docstring),
    Edit("a fixture's step", "tests/conftest.py", kinds.last_step),
    Edit("a fixture's step", "tests/users/conftest.py", kinds.step),
    Edit("a color", "app/pages/static/app.css", kinds.line(r"^\.[\w-]+ {", ".NAME { color: teal; }")),
    Edit("a size", "app/pages/static/app.css", kinds.words(r"^(h1|h2|body > main|\.message)")),
    Edit(
        "a dependency", "pyproject.toml", kinds.line(r'^    "[a-z-]+>=', '"NAME>=1,<2",'), keeps_tests=False
    ),
    Edit(
        "another bound on a dependency", "pyproject.toml", kinds.behind(r'^    "[a-z-]+[>=].*",$', "  # NAME")
    ),
    Edit("a tool's option", "pyproject.toml", kinds.line(r"^(?:include|strict|timezone) = ", "# NAME")),
    Edit("a rule for coding agents", "AGENTS.md", kinds.line(r"^- ", "- Mind NAME.")),
    Edit("more about a rule", "AGENTS.md", kinds.words(r"^(\S.*\.)$")),
    Edit("a line in AGENTS.md deleted", "AGENTS.md", kinds.removed(r"^- "), deletes=True),
    Edit("another README", "README.md", kinds.words(r"^(\w.*[.:])$")),
    Edit("a README section", "README.md", kinds.line(r"^## ", "See NAME.")),
    Edit("a remark on a protection", "SECURITY.md", kinds.words(r"^(\S.*\.)$"), keeps_tests=False),
    Edit("a row in SECURITY.md", "SECURITY.md", kinds.line(r"^\|.*\|$", "| NAME | | |"), keeps_tests=False),
    Edit("a CI step", ".github/workflows/ci.yml", kinds.line(r"^      - run: ", "- run: echo NAME")),
    Edit("a remark in CI", ".github/workflows/ci.yml", kinds.words(r"^(    [\w-]+: [^#]+)$")),
    Edit("a service's variable", "compose.yaml", kinds.line(r"^    [A-Z_]+: ", "NAME: x")),
    Edit("a remark in compose.yaml", "compose.yaml", kinds.line(r"^  \w+:$", "  # NAME")),
    Edit(
        "an image build step",
        "Dockerfile",
        kinds.line(r"^(?:RUN|ENV|COPY|WORKDIR) .*[^\\]$", "RUN echo NAME"),
    ),
    Edit("a directive", "Caddyfile", kinds.line(r"^\t\w.*[^{]$", "# NAME")),
    Edit("a documented setting", ".env.example", kinds.line(r"^# [A-Z_]+=", "# NAME=1"), keeps_tests=False),
    Edit("an ignored pattern", ".gitignore", kinds.line(r"^[./*\w]", "/NAME/")),
    Edit("a mapped error", "app/users/routes/error_handlers.py", kinds.step),
    Edit("a remark deleted", "app/users/rate_limits.py", kinds.removed(r"^    # [A-Z].*\.$"), deletes=True),
    Edit("a command's step", "app/cli/users.py", kinds.step),
    Edit("a command's check", "app/cli/server.py", kinds.guard, keeps_tests=False),
    Edit("a worker's step", "app/mail/outbox.py", kinds.step),
    Edit("a step in the pages", "app/pages/forms.py", kinds.step),
    Edit("a script's line", "app/pages/static/local-time.js", kinds.line(r";$", "// NAME")),
    Edit("a migration's environment", "migrations/env.py", kinds.step),
]

LIBRARY = tuple(_library())
