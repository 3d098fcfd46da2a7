"""What a merge without a conflict may have got wrong in meaning.

Both sides have added the same name, or the template has moved or changed something that the project uses. The
merged files are read, never run. What cannot be told from the text is left to the tests.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

type _Function = ast.FunctionDef | ast.AsyncFunctionDef
type Read = Callable[[str], str | None]
"""The text of a file of the project in one of the trees of the merge, None if there is no such file."""


@dataclass
class Sides:
    """The files of the project in each tree of the merge."""

    yours: Read
    old: Read
    new: Read
    result: Read

    def findings(self, edited: list[str], changed: list[str]) -> Iterator[tuple[str, str]]:
        """A path and a sentence for each finding.

        *edited* are the Python files of the result that are not as the template has them. *changed* are those
        that the template has changed.
        """
        functions = {path: self._changed_functions(path) for path in changed}
        for path in edited:
            module = _parsed(self.result(path))
            if module is None:
                continue
            found = [*self._twice(path, module)] if path in changed else []
            found += self._imports(path, module, changed)
            for sentence in found:
                yield path, sentence
            for line, sentence in sorted(set(_calls(path, module, functions))):
                yield path, f"{path}, line {line}: {sentence}"

    def _twice(self, path: str, module: ast.Module) -> Iterator[str]:
        one_side = [set(_twice(_parsed(read(path)))) for read in (self.yours, self.new)]
        for name, lines in _twice(module).items():
            if not any(name in twice for twice in one_side):
                yield (
                    f"{path}: you and the template have added {name} (lines {lines[0]} and {lines[1]})."
                    " Keep one."
                )

    def _imports(self, path: str, module: ast.Module, changed: list[str]) -> Iterator[str]:
        """Sentences about imports that the update breaks."""
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                wanted = [(each.name, "") for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = _absolute(path, node)
                wanted = [(source, each.name) for each in node.names if each.name != "*"]
            else:
                continue
            for source, name in wanted:
                if _has(self.yours, source, name) and not _has(self.result, source, name):
                    is_gone = _has(self.yours, source) and not _has(self.result, source)
                    problem = f"there is no {source}" if is_gone else f"{source} has no {name}"
                    places = [each for each in changed if name in self._gained(each)]
                    hint = f" {places[0]} has {name if is_gone else 'one'}." if places else ""
                    yield f"{path}, line {node.lineno}: {problem} any more.{hint}"

    def _gained(self, path: str) -> set[str]:
        """The names that the new version of the template defines in *path* and the old one did not."""
        old, new = (_parsed(read(path)) for read in (self.old, self.new))
        return set(_definitions(new)) - set(_definitions(old))

    def _changed_functions(self, path: str) -> dict[str, tuple[_Function, _Function]]:
        """Functions and methods of *path* whose parameters the template has changed: before and after."""
        old, new = (_functions(_parsed(read(path))) for read in (self.old, self.new))
        return {
            name: (old[name], new[name])
            for name in old.keys() & new.keys()
            if ast.dump(old[name].args) != ast.dump(new[name].args)
        }


@cache
def _parsed(text: str | None) -> ast.Module | None:
    try:
        return None if text is None else ast.parse(text)
    except (SyntaxError, ValueError):
        # A conflict, or no Python of this version.
        return None


def _definitions(scope: ast.Module | ast.ClassDef | None) -> dict[str, list[ast.stmt]]:
    """What a module or class defines, by name."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in scope.body if scope else []:
        match statement:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names = [name]
            case ast.AnnAssign(ast.Name(name)):
                names = [name]
            case ast.Assign(targets):
                names = [each.id for each in targets if isinstance(each, ast.Name)]
            case _:
                continue
        for name in names:
            found.setdefault(name, []).append(statement)
    return found


def _twice(scope: ast.Module | ast.ClassDef | None, prefix: str = "") -> dict[str, list[int]]:
    """The names with several definitions in the same module or class, and the lines."""
    found: dict[str, list[int]] = {}
    for name, statements in _definitions(scope).items():
        plain = [each for each in statements if not getattr(each, "decorator_list", [])]
        if len(statements) > 1 and plain:
            found[prefix + name] = [each.lineno for each in statements]
        for each in statements:
            if isinstance(each, ast.ClassDef):
                found |= _twice(each, f"{prefix}{name}.")
    return found


def _functions(module: ast.Module | None) -> dict[str, _Function]:
    """The functions of a module and the methods of its classes."""
    found: dict[str, _Function] = {}
    for name, statements in _definitions(module).items():
        last = statements[-1]
        if isinstance(last, ast.ClassDef):
            methods = {method: each[-1] for method, each in _definitions(last).items()}
            found |= {
                f"{name}.{method}": each
                for method, each in methods.items()
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef):
            found[name] = last
    return found


def _absolute(path: str, node: ast.ImportFrom) -> str:
    """The module that *node* in *path* imports from."""
    if not node.level:
        return node.module or ""
    package = path.removesuffix(".py").split("/")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _files(module: str) -> tuple[str, str]:
    """The files that may have *module*."""
    folder = module.replace(".", "/")
    return f"{folder}.py", f"{folder}/__init__.py"


def _has(read: Read, module: str, name: str = "") -> bool:
    """Whether there is *module*, and *name* in it."""
    texts = [text for file in _files(module) if (text := read(file)) is not None]
    if not name:
        return bool(texts)
    if any(read(file) is not None for file in _files(f"{module}.{name}")):
        return True
    return any(name in _bound(_parsed(text)) for text in texts)


@cache
def _bound(module: ast.Module | None) -> set[str]:
    """Every name that a module binds anywhere. Those of its functions do no harm."""
    names: set[str] = set()
    for node in ast.walk(module or ast.Module([], [])):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names.add(name)
            case ast.Name(name, ast.Store()):
                names.add(name)
            case ast.alias(name, alias):
                names.add(alias or name.partition(".")[0])
            case _:
                pass
    return names


def _calls(
    path: str, module: ast.Module, functions: dict[str, dict[str, tuple[_Function, _Function]]]
) -> Iterator[tuple[int, str]]:
    """The line of each call that fitted the old parameters and does not fit the new ones, and a sentence."""
    imported = {
        each.asname or each.name: (_files(_absolute(path, node)), each.name)
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    for call in ast.walk(module):
        if not isinstance(call, ast.Call):
            continue
        for file, changed in functions.items():
            for name, (old, new) in changed.items():
                owner, is_method, method = name.rpartition(".")
                match call.func:
                    case ast.Attribute(_, attribute) if is_method:
                        is_meant = owner and attribute == method
                    case ast.Name(called) if not is_method and called in imported:
                        files, meant = imported[called]
                        is_meant = meant == name and file in files
                    case _:
                        is_meant = False
                if is_meant and _fits(call, old, is_method) and not _fits(call, new, is_method):
                    yield call.lineno, f"{name} takes ({ast.unparse(new.args)}) now ({file})."


def _fits(call: ast.Call, function: _Function, is_method: str) -> bool:
    """Whether *function* accepts the arguments of *call*, as far as the text tells."""
    given = [each.arg for each in call.keywords]
    if None in given or any(isinstance(each, ast.Starred) for each in call.args):
        return True
    parameters = function.args
    positional = [each.arg for each in (*parameters.posonlyargs, *parameters.args)][1 if is_method else 0 :]
    needed = positional[: len(positional) - len(parameters.defaults)]
    needed += [
        each.arg
        for each, default in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True)
        if default is None
    ]
    known = {*positional, *(each.arg for each in parameters.kwonlyargs)}
    filled = {*positional[: len(call.args)], *filter(None, given)}
    too_many = len(call.args) > len(positional) and not parameters.vararg
    unknown = not parameters.kwarg and not known.issuperset(filled)
    return not too_many and not unknown and filled.issuperset(needed)
