"""How the code treats secrets: they are compared in constant time, and made by the system's random source.

Advisory 52; ASVS 11.2.4, 11.5.1; CWE-208, CWE-338.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from app.users import device_cookies
from app.users.device_cookies import DeviceCookies
from app.users.sessions import Sessions

APP = Path(app.__file__).parent
FILES = sorted(APP.rglob("*.py"))
SECRETS = {"secret", "secrets", "hash", "token", "tokens", "seal", "checksum", "signature", "mac"}
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(APP).as_posix())


def nodes(path: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(path.read_text("utf-8")))


def imported(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def compared(path: Path) -> Iterator[str]:
    """Every comparison of what is called a secret with another value that the code does not spell out."""
    for node in nodes(path):
        if not isinstance(node, ast.Compare):
            continue
        operands = [node.left, *node.comparators]
        is_equality = any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
        is_literal = any(isinstance(each, ast.Constant) for each in operands)
        if is_equality and not is_literal and not is_column(node.left) and any(map(is_secret, operands)):
            yield f"{node.lineno}: {ast.unparse(node)}"


def is_secret(node: ast.expr) -> bool:
    return bool(SECRETS & set(re.split(r"[_\W]+", name_of(node).lower())))


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Call():
            return name_of(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case _:
            return ""


def is_column(node: ast.expr) -> bool:
    """`UserSession.secret_hash`: the database compares."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    return owner is not None and (name_of(owner)[:1].isupper() or name_of(owner) == "model")


@EVERY_FILE
def test_no_secret_is_compared_in_variable_time(path: Path):
    """Checklist 15; advisory 52. Use `hmac.compare_digest`."""
    assert list(compared(path)) == []


@pytest.mark.parametrize(
    "function",
    [
        Sessions.by_token,
        Sessions.rotate,
        Sessions._parts,
        Sessions._current_secret,
        device_cookies._equal,
    ],
    ids=lambda function: function.__qualname__,
)
def test_client_secrets_are_compared_in_constant_time(function):
    """Checklist 15; advisory 52."""
    assert "hmac.compare_digest(" in inspect.getsource(function)


@pytest.mark.parametrize("function", [DeviceCookies.is_ours, DeviceCookies.id_for, DeviceCookies._is_current])
def test_device_cookies_are_compared_in_constant_time(function):
    """Checklist 15; advisory 52."""
    assert "_equal(" in inspect.getsource(function)
    assert "==" not in inspect.getsource(function)


@EVERY_FILE
def test_no_predictable_random_numbers_are_used(path: Path):
    """Checklist 15; advisory 52. Use `secrets`."""
    assert "random" not in imported(path)


@pytest.mark.parametrize(
    "code",
    [
        "row.secret_hash == given",
        "_hash(a) != b",
        "self._checksum(a) == b",
        "token == other",
        "f(x, signature == s)",
    ],
)
def test_an_unsafe_comparison_would_be_found(tmp_path: Path, code: str):
    (tmp_path / "file.py").write_text(code)

    assert len(list(compared(tmp_path / "file.py"))) == 1


@pytest.mark.parametrize(
    "code", ["UserSession.secret_hash == row.secret_hash", "token == ''", "token is None"]
)
def test_database_and_public_comparisons_are_not_reported(tmp_path: Path, code: str):
    (tmp_path / "file.py").write_text(code)

    assert list(compared(tmp_path / "file.py")) == []
