"""Semantic errors that a conflict-free merge may have introduced.

They occur if both sides added the same name, or if the template moved or changed something that the project
uses. Errors that cannot be seen in the source text are left to pyright and the tests.
"""

import ast
from collections.abc import Iterator

from template_update.python_files import PythonFiles, definitions, files_of, imported_module, parsed
from template_update.uses import broken_uses

type _Function = ast.FunctionDef | ast.AsyncFunctionDef


def findings(files: PythonFiles) -> Iterator[tuple[str, int, str]]:
    """The path, the line and a message for each finding."""
    functions = {path: _changed_functions(files, path) for path in files.changed}
    for path in files.edited:
        module = parsed(files.result(path))
        if module is None:
            continue
        found = {*broken_uses(files, path, module), *_calls(path, module, functions)}
        if path in files.changed:
            found |= {*_added_twice(files, path, module)}
        for line, sentence in sorted(found):
            yield path, line, sentence


def _added_twice(files: PythonFiles, path: str, module: ast.Module) -> Iterator[tuple[int, str]]:
    one_side = [set(_twice(parsed(read(path)))) for read in (files.yours, files.new)]
    for name, lines in _twice(module).items():
        if not any(name in twice for twice in one_side):
            yield lines[1], f"you and the template both added {name} (also in line {lines[0]}). Keep one."


def _changed_functions(files: PythonFiles, path: str) -> dict[str, tuple[_Function, _Function]]:
    """The functions and methods in *path* whose parameters the template changed, each before and after."""
    old, new = (_functions(parsed(read(path))) for read in (files.old, files.new))
    return {
        name: (old[name], new[name])
        for name in old.keys() & new.keys()
        if ast.dump(old[name].args) != ast.dump(new[name].args)
    }


def _twice(scope: ast.Module | ast.ClassDef | None, prefix: str = "") -> dict[str, list[int]]:
    """The names that are defined more than once in the same module or class, with their lines."""
    found: dict[str, list[int]] = {}
    for name, statements in definitions(scope).items():
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
    for name, statements in definitions(module).items():
        last = statements[-1]
        if isinstance(last, ast.ClassDef):
            methods = {method: each[-1] for method, each in definitions(last).items()}
            found |= {
                f"{name}.{method}": each
                for method, each in methods.items()
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef):
            found[name] = last
    return found


def _calls(
    path: str, module: ast.Module, functions: dict[str, dict[str, tuple[_Function, _Function]]]
) -> Iterator[tuple[int, str]]:
    """The line and a message for each call that matches the old parameters but not the new ones."""
    imported = {
        each.asname or each.name: (_places(imported_module(path, node)), each.name)
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    known = (path, *(place for places, _ in imported.values() for place in places))
    for call in ast.walk(module):
        if not isinstance(call, ast.Call):
            continue
        for file, changed in functions.items():
            for name, (old, new) in changed.items():
                _, is_method, method = name.rpartition(".")
                match call.func:
                    case ast.Attribute(_, attribute) if is_method:
                        # Unrelated classes can have methods with the same name, such as dict.get.
                        is_meant = attribute == method and file.startswith(known)
                    case ast.Name(called) if not is_method and called in imported:
                        places, meant = imported[called]
                        is_meant = meant == name and file.startswith(places)
                    case _:
                        is_meant = False
                if is_meant and _fits(call, old, is_method) and not _fits(call, new, is_method):
                    yield (
                        call.lineno,
                        f"{name} in {file} now takes ({ast.unparse(new.args)}). Change the call.",
                    )


def _places(module: str) -> tuple[str, ...]:
    """The path prefixes of the files whose classes and functions *module* may provide.

    Classes and functions are often imported from the package that contains their module.
    """
    return tuple(file.removesuffix("__init__.py") for file in files_of(module))


def _fits(call: ast.Call, function: _Function, is_method: str) -> bool:
    """Whether *function* accepts the arguments of *call*, as far as the source shows."""
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
