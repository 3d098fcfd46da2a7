"""`app i18n`: keep the translations in `app/i18n/locales/`, and those of features, up to date."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from app.cli.common import PROJECT, fail

cli = typer.Typer(help="Translate the pages, e-mails and errors.", no_args_is_help=True)

LOCALES = PROJECT / "app" / "i18n" / "locales"
_METHODS = [
    ("**.py", "python"),
    ("**/templates/**.html", "jinja2"),
    ("**/pages/**.html", "jinja2"),
    ("**/emails/**", "jinja2"),
]
_KEYWORDS = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    # The sentences of error responses, which `app/web/problems.py` translates.
    "Problem": (2,),
    "problem_response": (2,),
    "invalid": (2,),
    "FieldError": (2,),
}
"""Functions, and which of their parameters are sentences. None: the first one."""


@cli.command()
def update(
    languages: Annotated[list[str] | None, typer.Argument(help="Codes of new languages, such as fr.")] = None,
) -> None:
    """Add new sentences to every language and mark those that are no longer used."""
    for code in languages or []:
        try:
            Locale.parse(code)
        except (ValueError, UnknownLocaleError):
            fail(f"{code!r} is not the code of a language. Use a code such as fr or pt_BR.")
    codes = sorted({path.stem for path in LOCALES.glob("*.po")} | set(languages or []))
    for folder, template in extracted().items():
        for code in codes:
            path = folder / f"{code}.po"
            catalog = _read(path, code)
            catalog.update(template, no_fuzzy_matching=True)
            _write(path, catalog)
            left = len(list(untranslated(catalog)))
            typer.echo(f"{name_of(path)}: {len(catalog)} sentences, {left} to translate")
    if not codes:
        fail("There are no translations yet. To add a language: `uv run app i18n update fr`.")


@cli.command()
def check() -> None:
    """Say which sentences have no translation. The exit code is 1 if there are any."""
    missing = 0
    codes = sorted(path.stem for path in LOCALES.glob("*.po"))
    for folder, template in extracted().items():
        for path in [folder / f"{code}.po" for code in codes]:
            catalog = _read(path, path.stem)
            catalog.update(template, no_fuzzy_matching=True)
            for sentence in untranslated(catalog):
                missing += 1
                typer.echo(f"{name_of(path)}: {sentence}")
    if missing:
        fail(f"{missing} sentences have no translation. `uv run app i18n update` adds them to the files.")


def name_of(path: Path) -> str:
    """A short name of a file of translations: `de.po`, or `totp/de.po` for that of a feature."""
    return path.name if path.parent == LOCALES else f"{path.parent.parent.name}/{path.name}"


def extracted() -> dict[Path, Catalog]:
    """Every sentence that is marked for translation, by the folder of its translations.

    That is `locales` in the feature, if the feature has it.
    """
    own = {folder.parent.name: folder for folder in sorted((PROJECT / "app").glob("*/locales"))}
    own["i18n"] = LOCALES
    catalogs = {folder: Catalog(charset="utf-8") for folder in own.values()}
    found: Iterator[tuple[Any, ...]] = extract_from_dir(
        PROJECT / "app",
        method_map=_METHODS,
        options_map={"**.html": {"extensions": "jinja2.ext.i18n", "trim_blocks": "true", "trimmed": "true"}},
        keywords=_KEYWORDS,
    )
    for filename, _line, message, comments, context in found:
        # Without line numbers, so that a file changes only when a sentence does.
        catalog = catalogs[own.get(filename.partition("/")[0], LOCALES)]
        catalog.add(message, locations=[(filename, 0)], auto_comments=comments, context=context)
    return catalogs


def untranslated(catalog: Catalog) -> Iterator[str]:
    """The sentences of *catalog* that have no translation."""
    for message in catalog:
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if message.id and not all(strings):
            yield message.id[0] if isinstance(message.id, tuple | list) else message.id


def _read(path: Path, code: str) -> Catalog:
    if not path.exists():
        return Catalog(locale=code, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=code)


_NEEDED = ("Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")


def _write(path: Path, catalog: Catalog) -> None:
    # Without dates, versions and names, which would change with every update.
    catalog.header_comment = "# Translate the empty sentences. `uv run app i18n update` adds new ones."
    content = io.BytesIO()
    write_po(content, catalog, width=100, sort_output=True, no_location=True)
    lines = content.getvalue().decode().strip().splitlines()
    end = lines.index("") if "" in lines else len(lines)
    header = [
        line for line in lines[:end] if not line.startswith('"') or line[1:].partition(":")[0] in _NEEDED
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*header, *lines[end:]]) + "\n", "utf-8")
