"""Reports invalid settings, one message per problem, without showing their values. Template-owned."""

import difflib
import os
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from dotenv.parser import Binding, parse_stream
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import make_url

_NOT_DERIVED = "default_factory_not_called"
"""pydantic's error type for a default computed from a field that is itself invalid."""
_NOT_JSON = frozenset({"dict_type", "list_type", "set_type", "tuple_type"})
"""pydantic's error types for text in place of a list or dict."""


_SERVERS = {"DATABASE_URL", "REDIS_URL"}
"""Secrets whose server is shown. Other secrets are fully masked, because a webhook's path, for example, is a
secret."""


class SettingsError(Exception):
    """The environment or `.env` is invalid. The message lists every problem, one per line."""


class CompleteReport:
    """A base class for settings. It reports a list or dict that is not valid JSON like any other invalid
    value.

    pydantic-settings itself would raise an error that names only that setting and hides all other problems.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        for source in (env_settings, dotenv_settings):
            source.decode_complex_value = cast(Any, partial(_decoded_or_text, source.decode_complex_value))
        return init_settings, env_settings, dotenv_settings, file_secret_settings


def _decoded_or_text(decode: Callable[..., Any], field_name: str, field: Any, value: Any) -> Any:
    try:
        return decode(field_name, field, value)
    except ValueError:
        return value


def read[S: BaseSettings](kind: type[S], env_file: Path | None) -> S:
    """Read and check the settings of the class *kind*.

    Raises:
        SettingsError: a setting is missing or invalid. The message lists every problem, one per line, and
            never contains a secret.
    """
    problems = [] if env_file is None else list(_file_problems(kind, env_file))
    try:
        settings = kind(_env_file=env_file)
    except ValidationError as error:
        problems = [*_sentences(error), *_hidden_problems(kind, error, env_file), *problems]
    else:
        if not problems:
            return settings
    raise SettingsError("Invalid settings:\n" + "\n".join(f"  {each}" for each in problems))


def describe(settings: BaseSettings, env_file: Path | None) -> list[tuple[str, str, str]]:
    """The name, value (secrets masked) and source (environment, .env, default) of every setting."""
    bindings = _lines(env_file) if env_file is not None else []
    in_file = {each.key.upper() for each in bindings if each.key and each.value}
    in_environment = {name.upper() for name, value in os.environ.items() if value}
    rows: list[tuple[str, str, str]] = []
    for field in type(settings).model_fields:
        name = field.upper()
        source = "environment" if name in in_environment else ".env" if name in in_file else "default"
        rows.append((name, _shown(name, getattr(settings, field)), source))
    return rows


def _shown(name: str, value: object) -> str:
    if isinstance(value, SecretStr) and name in _SERVERS:
        # Show the server, but drop the query, which may contain a password.
        return make_url(value.get_secret_value()).set(query={}).render_as_string(hide_password=True)
    if isinstance(value, list):
        return ",".join(str(each) for each in cast(list[object], value))
    return "" if value is None else str(value)


def _hidden_problems(
    kind: type[BaseSettings], error: ValidationError, env_file: Path | None
) -> Iterator[str]:
    """Further problems that would be reported once the invalid fields in *error* are corrected."""
    wrong = {str(each["loc"][0]) for each in error.errors() if each["loc"] and each["type"] != _NOT_DERIVED}
    if not wrong:
        return
    stand_ins: dict[str, Any] = {
        name: kind.model_fields[name].get_default(call_default_factory=True, validated_data={})
        for name in wrong
    }
    if "secret_key" in wrong:
        stand_ins["secret_key"] = SecretStr(secrets.token_hex(32))
    try:
        kind(_env_file=env_file, **stand_ins)
    except ValidationError as second:
        yield from (each for each in _sentences(second) if each.partition(":")[0].lower() not in stand_ins)


def _sentences(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] == _NOT_DERIVED:
            continue
        if not each["loc"]:
            yield from message.splitlines()
            continue
        name = str(each["loc"][0]).upper()
        if each["type"] in _NOT_JSON:
            message += ", written as JSON"
        if each["type"] == "missing":
            message = "is missing; set it in the environment or in .env (see .env.example)"
        yield f"{name}: {message[:1].lower()}{message[1:].rstrip('.')}."


def _file_problems(kind: type[BaseSettings], env_file: Path) -> Iterator[str]:
    """Problems in `.env` that would otherwise go unnoticed, such as misspelled names."""
    known = {field.upper() for field in kind.model_fields}
    for each in _lines(env_file):
        where = f"{env_file}, line {each.original.line}"
        if each.error:
            yield f"{where}: cannot be parsed; a line must be NAME=value or start with #."
        elif each.key and each.key.upper() not in known:
            close = difflib.get_close_matches(each.key.upper(), known, 1)
            hint = f"did you mean {close[0]}?" if close else "add your own settings to app/settings.py first."
            yield f"{each.key}: unknown setting ({where}); {hint}"
        elif each.key and each.value is None:
            yield f"{each.key}: has no value ({where}); write {each.key}=value."


def _lines(env_file: Path) -> list[Binding]:
    if not env_file.is_file():
        return []
    try:
        with env_file.open(encoding="utf-8-sig") as stream:
            return list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file} cannot be read as UTF-8 text: {error}") from None
