"""The kinds of edits: each changes a file's text in one place, which a random generator picks.

In a Python file, the place is found in the syntax tree, not by its text, so an edit also works in another
version. Every edit except a deletion leaves its name, a unique word, in the text.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

from places import Function, definitions, first_line, is_valid, parsed

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from seams import PHRASE

type Make = Callable[[str, str, Random], str | None]
"""Takes a file's text, the edit's name and a random generator. Returns the new text, or None if there is no
place for the edit.
"""


# Python: statements


def guard(text: str, name: str, random: Random) -> str | None:
    """Adds a check at the start of a function."""
    lines = (f'if not "{name}".isidentifier():', f'    raise RuntimeError("{name} is off.")')
    return _at(text, random, 0, *lines)


def step(text: str, name: str, random: Random) -> str | None:
    """Adds a statement before another in a function."""
    return _at(text, random, None, f"{name}_step = 1")


def last_step(text: str, name: str, random: Random) -> str | None:
    """Adds a statement before a function's last one, which is usually a return."""
    return _at(text, random, -1, f"{name}_done = True")


def comment(text: str, name: str, random: Random) -> str | None:
    """Adds a comment above a statement."""
    return _at(text, random, None, f"# {name}: our auditors asked for this.")


def remark(text: str, name: str, random: Random) -> str | None:
    """Adds a comment at the end of a statement's line, such as one for a linter."""
    found = [each for function in _functions(text) for each in _simple(function, text)]
    if not found:
        return None
    lines = text.split("\n")
    lines[random.choice(found).lineno - 1] += f"  # {name}"
    return "\n".join(lines)


def condition(text: str, name: str, random: Random) -> str | None:
    """Adds a condition to an `if`."""
    return _changed_line(
        text,
        random,
        ast.If,
        r"(\s+if )(.+)(:)",
        lambda found: f'{found[1]}({found[2]}) and "{name}"{found[3]}',
    )


def named_result(text: str, name: str, random: Random) -> str | None:
    """Names a result before returning it."""
    return _changed_line(
        text,
        random,
        ast.Return,
        r"(\s+)return (.+)",
        lambda found: f"{found[1]}{name} = {found[2]}\n{found[1]}return {name}",
    )


def renamed_local(text: str, name: str, random: Random) -> str | None:
    """Renames a local variable."""
    found = [(function, local) for function in _functions(text) for local in _locals(function)]
    if not found:
        return None
    function, local = random.choice(found)
    places = {
        (node.lineno - 1, node.col_offset)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and node.id == local
    }
    lines = [line.encode() for line in text.split("\n")]
    for number, column in sorted(places, reverse=True):
        line = lines[number]
        lines[number] = line[:column] + f"{local}_{name}".encode() + line[column + len(local.encode()) :]
    return b"\n".join(lines).decode()


def statement_removed(text: str, name: str, random: Random) -> str | None:
    """Deletes a statement that is not the only one in its block."""
    found = [
        each
        for function in _functions(text)
        for each in _simple(function, text)
        if not isinstance(each, ast.Return)
    ]
    random.shuffle(found)
    for each in found:
        changed = _without(text, each.lineno, each.lineno)
        if changed and is_valid(".py", changed):
            return changed
    return None


# Python: definitions


def parameter(text: str, name: str, random: Random) -> str | None:
    """Adds a parameter with a default value."""
    lines = text.split("\n")
    signature = re.compile(r"(\s*(?:async )?def \w+\()(.*)(\)(?: -> .+)?:)")
    found = [
        function.lineno - 1
        for function in _functions(text)
        if not (function.decorator_list or function.args.vararg or function.args.kwarg)
        and signature.fullmatch(lines[function.lineno - 1])
    ]
    if not found:
        return None
    number = random.choice(found)
    start, given, end = signature.fullmatch(lines[number]).groups()
    lines[number] = f"{start}{given}{', ' if given else ''}{name}: bool = False{end}"
    return "\n".join(lines)


def docstring(text: str, name: str, random: Random) -> str | None:
    """Adds text to a docstring."""
    found = [function.body[0] for function in _functions(text) if _is_text(function.body[0])]
    if not found:
        return None
    lines = text.split("\n")
    number = random.choice(found).lineno - 1
    line = lines[number]
    is_whole = line.endswith('"""') and line.strip() != '"""'
    lines[number] = f'{line[:-3]} See {name}."""' if is_whole else f"{line} See {name}."
    return "\n".join(lines)


def function(text: str, name: str, random: Random) -> str | None:
    """Adds a function between two others."""
    ends = [_end(text, each) for each in parsed(text).body if _is_definition(each)]
    own = ["", "", f"def {name}() -> str:", '    """Ours."""', f'    return "{name}"']
    return _inserted(text, random.choice(ends), own) if ends else None


def method(text: str, name: str, random: Random) -> str | None:
    """Adds a method between two others."""
    ends = [
        _end(text, each)
        for _, owner in definitions(parsed(text))
        if isinstance(owner, ast.ClassDef) and not owner.bases
        for each in owner.body
        if _is_function(each) and not each.decorator_list
    ]
    own = ["", f"    def {name}(self) -> str:", '        """Ours."""', f'        return "{name}"']
    return _inserted(text, random.choice(ends), own) if ends else None


def route(text: str, name: str, random: Random) -> str | None:
    """Adds a route between two others."""
    found = [
        (_end(text, each), ast.unparse(decorator.func.value))
        for each in parsed(text).body
        if isinstance(each, ast.AsyncFunctionDef)
        for decorator in each.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("get", "post", "delete", "patch")
    ]
    if not found:
        return None
    end, router = random.choice(found)
    own = [f'@{router}.get("/own/{name}", include_in_schema=False, status_code=204)']
    own += [f"async def {name}() -> None:", '    """Nothing yet."""']
    return _inserted(text, end, ["", "", *own])


def field(line: str) -> Make:
    """Adds *line* to the fields of a class, at a place where all later fields also have default values."""

    def make(text: str, name: str, random: Random) -> str | None:
        ends: list[int] = []
        for _, owner in definitions(parsed(text)):
            if not isinstance(owner, ast.ClassDef):
                continue
            for number, each in enumerate(owner.body):
                later = [other for other in owner.body[number + 1 :] if isinstance(other, ast.AnnAssign)]
                if isinstance(each, ast.AnnAssign) and later and all(other.value for other in later):
                    is_described = _is_text(owner.body[number + 1])
                    ends.append(owner.body[number + 1 if is_described else number].end_lineno)
        return _inserted(text, random.choice(ends), [f"    {line.format(name=name)}"]) if ends else None

    return make


def imported(text: str, name: str, random: Random) -> str | None:
    """Adds an import between two others."""
    ends = [each.end_lineno for each in parsed(text).body if isinstance(each, ast.Import | ast.ImportFrom)]
    return _inserted(text, random.choice(ends[:-1]), [f"import decimal as {name}"]) if ends[1:] else None


def constant(text: str, name: str, random: Random) -> str | None:
    """Changes the number in a constant or a default value."""
    return _changed_line(
        text,
        random,
        ast.Assign | ast.AnnAssign,
        r"(.*[ (\[])(\d+(?:\.\d+)?)(\W*)",
        lambda found: (
            f"{found[1]}{found[2]}0{found[3]}  # {name}"
            if "." not in found[2]
            else f"{found[1]}1{found[2]}{found[3]}  # {name}"
        ),
    )


def error_text(text: str, name: str, random: Random) -> str | None:
    """Changes the message of an exception."""
    return _changed_line(
        text,
        random,
        ast.Raise,
        r'(\s+raise .+?\(.*")(.+?)(".*\).*)',
        lambda found: f"{found[1]}{found[2]} {name}{found[3]}",
    )


def test(text: str, name: str, random: Random) -> str | None:
    """Adds a test between two others."""
    ends = [_end(text, each) for each in parsed(text).body if _is_test(each)]
    own = ["", "", f"def test_{name}():", f'    assert "{name}"']
    return _inserted(text, random.choice(ends), own) if ends else None


def expectation(text: str, name: str, random: Random) -> str | None:
    """Adds an assertion at the end of a test."""
    ends = [each.end_lineno for each in parsed(text).body if _is_test(each)]
    return _inserted(text, random.choice(ends), [f'    assert "{name}"']) if ends else None


def test_removed(text: str, name: str, random: Random) -> str | None:
    """Deletes a test."""
    found = [each for each in parsed(text).body if _is_test(each)]
    if len(found) < 2:
        return None
    gone = random.choice(found)
    return _without(text, first_line(gone), _end(text, gone))


def swapped(text: str, random: Random) -> str | None:
    """Swaps two adjacent functions without decorators, because decorators may depend on the order."""
    body = parsed(text).body
    pairs = [
        pair
        for pair in pairwise(body)
        if all(_is_function(each) and not each.decorator_list for each in pair)
    ]
    if not pairs:
        return None
    first, second = random.choice(pairs)
    lines = text.split("\n")
    end, last = _end(text, first), _end(text, second)
    between = lines[end : second.lineno - 1]
    if any(line.strip() for line in between):
        return None
    one, other = lines[first.lineno - 1 : end], lines[second.lineno - 1 : last]
    lines[first.lineno - 1 : last] = [*other, *between, *one]
    return "\n".join(lines)


# Other files


def words(pattern: str) -> Make:
    """Adds the edit's name after the text that the group in *pattern* matches in a line."""
    expression = re.compile(pattern)

    def make(text: str, name: str, random: Random) -> str | None:
        lines = text.split("\n")
        found = _matches(expression, lines)
        if not found:
            return None
        number, match = random.choice(found)
        lines[number] = f"{lines[number][: match.end(1)]} {name}{lines[number][match.end(1) :]}"
        return "\n".join(lines)

    return make


def line(pattern: str, own: str) -> Make:
    """Adds the line *own* below a line that matches *pattern*, with the same indentation."""
    expression = re.compile(pattern)

    def make(text: str, name: str, random: Random) -> str | None:
        lines = text.split("\n")
        found = _matches(expression, lines)
        if not found:
            return None
        number, _ = random.choice(found)
        indent = re.match(r"\s*", lines[number])[0]
        lines.insert(number + 1, indent + own.replace("NAME", name))
        return "\n".join(lines)

    return make


def behind(pattern: str, own: str) -> Make:
    """Adds *own* at the end of a line that matches *pattern*."""
    expression = re.compile(pattern)

    def make(text: str, name: str, random: Random) -> str | None:
        lines = text.split("\n")
        found = _matches(expression, lines)
        if not found:
            return None
        number, _ = random.choice(found)
        lines[number] += own.replace("NAME", name)
        return "\n".join(lines)

    return make


def removed(pattern: str) -> Make:
    """Deletes a line that matches *pattern*."""
    expression = re.compile(pattern)

    def make(text: str, name: str, random: Random) -> str | None:
        found = _matches(expression, text.split("\n"))
        if not found:
            return None
        number, _ = random.choice(found)
        return _without(text, number + 1, number + 1)

    return make


# Helpers for the kinds above


def _matches(expression: re.Pattern[str], lines: list[str]) -> list[tuple[int, re.Match[str]]]:
    """The numbers of the lines that *expression* matches, with the matches. Excludes seam comments."""
    matches = [(number, expression.search(line)) for number, line in enumerate(lines) if PHRASE not in line]
    return [(number, match) for number, match in matches if match]


def _functions(text: str) -> list[Function]:
    return [each for _, each in definitions(parsed(text)) if _is_function(each)]


def _at(text: str, random: Random, which: int | None, *own: str) -> str | None:
    """Adds the lines *own* before statement number *which* in a function. None means any statement."""
    lines = text.split("\n")
    found: list[ast.stmt] = []
    for function in _functions(text):
        body = [each for each in function.body if not _is_text(each)]
        wanted = body if which is None else body[which : which + 1 or None]
        found += [each for each in wanted if not lines[each.lineno - 1][: each.col_offset].strip()]
    if not found:
        return None
    before = random.choice(found)
    number = first_line(before) if _is_definition(before) else before.lineno
    indent = " " * before.col_offset
    return _inserted(text, number - 1, [indent + each for each in own])


def _changed_line(
    text: str,
    random: Random,
    kind: type[ast.stmt] | object,
    pattern: str,
    change: Callable[[re.Match[str]], str],
) -> str | None:
    """*text* with one changed line. The whole line matches *pattern* and begins a statement of *kind*."""
    lines = text.split("\n")
    found = [
        (each.lineno - 1, match)
        for each in ast.walk(parsed(text))
        if isinstance(each, kind) and (match := re.fullmatch(pattern, lines[each.lineno - 1]))
    ]
    random.shuffle(found)
    for number, match in found:
        changed = "\n".join([*lines[:number], change(match), *lines[number + 1 :]])
        if is_valid(".py", changed):
            return changed
    return None


def _simple(function: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> Iterator[ast.stmt]:
    """The one-line statements in *function*."""
    lines = text.split("\n")
    for each in ast.walk(function):
        is_simple = isinstance(each, ast.Assign | ast.AugAssign | ast.Return | ast.Expr | ast.Delete)
        if is_simple and not _is_text(each) and each.lineno == each.end_lineno:
            line = lines[each.lineno - 1]
            if not line[: each.col_offset].strip() and "#" not in line and '"""' not in line:
                yield each


def _locals(function: Function) -> list[str]:
    """Variables that are used only in *function* and are set by plain assignments."""
    nodes = list(ast.walk(function))
    shared = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    parameters = {node.arg for node in nodes if isinstance(node, ast.arg)}
    captured = {
        name
        for node in nodes
        for name in (
            [node.name]
            if isinstance(
                node, ast.MatchAs | ast.MatchStar | ast.ExceptHandler | ast.FunctionDef | ast.ClassDef
            )
            else []
        )
    }
    assigned = {
        target.id
        for node in function.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return sorted(assigned - shared - parameters - captured)


def _is_text(statement: ast.AST) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_function(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)


def _is_definition(statement: ast.stmt) -> bool:
    return _is_function(statement) or isinstance(statement, ast.ClassDef)


def _is_test(statement: ast.stmt) -> bool:
    return _is_function(statement) and statement.name.startswith("test_")


def _end(text: str, statement: ast.stmt) -> int:
    """The number of the statement's last line, which may be an indented comment below it, such as a seam."""
    lines = text.split("\n")
    end = statement.end_lineno
    while end < len(lines) and re.match(rf" {{{statement.col_offset + 1},}}#", lines[end]):
        end += 1
    return end


def _inserted(text: str, after: int, own: list[str]) -> str:
    lines = text.split("\n")
    return "\n".join([*lines[:after], *own, *lines[after:]])


def _without(text: str, start: int, end: int) -> str | None:
    """*text* without the lines *start* to *end*. None unless one of them is unique and can be recognized."""
    lines = text.split("\n")
    if not any(len(line.strip()) > 12 and lines.count(line) == 1 for line in lines[start - 1 : end]):
        return None
    return "\n".join([*lines[: start - 1], *lines[end:]])
