"""Keep the translations up to date.

They are in `app/i18n/locales/` and in the features' `locales` folders.
"""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from app.cli.common import PROJECT, fail
from app.i18n import SOURCE_LANGUAGE

cli = typer.Typer(help="Keep the translations up to date.", no_args_is_help=True)

ROOT = PROJECT / "app"
"""The folder that contains the translation folders (`*/locales`)."""
_METHODS = [
    ("**.py", "python"),
    ("**/templates/**.html", "jinja2"),
    ("**/pages/**.html", "jinja2"),
    ("**/emails/**", "jinja2"),
]
_AS_RENDERED = {
    "extensions": "jinja2.ext.i18n",
    "newstyle_gettext": "true",
    "trim_blocks": "true",
    "trimmed": "true",
}
"""Jinja's options. With these, Babel extracts each sentence exactly as a rendered template looks it up."""
_KEYWORDS = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    # The sentences in error responses, which `app/web/problems.py` translates.
    "Problem": (2,),
    "problem_response": (2,),
    "invalid": (2,),
    "FieldError": (2,),
}
"""Functions that mark sentences, with the positions of the sentence arguments. None means the first
argument."""


@cli.command()
def update(
    languages: Annotated[list[str] | None, typer.Argument(help="Codes of new languages, such as fr.")] = None,
) -> None:
    """Add new sentences to every language, and mark sentences that are no longer used."""
    for code in languages or []:
        try:
            Locale.parse(code)
        except (ValueError, UnknownLocaleError):
            fail(f"{code!r} is not a language code. Use a code such as fr or pt_BR.")
        if code.lower() == SOURCE_LANGUAGE:
            fail(f"{code!r} needs no translation: it is the language of the sentences in the code.")
    codes = _codes() | set(languages or [])
    for path, catalog in _updated(codes):
        _write(path, catalog)
        left = len(list(untranslated(catalog)))
        typer.echo(f"{path.relative_to(ROOT)}: {len(catalog)} sentences, {left} to translate")
    if not codes:
        fail("There are no translations yet. To add a language: `uv run app i18n update fr`.")


@cli.command()
def check() -> None:
    """List the sentences that have no translation or a broken one. Exits with status 1 if there are any."""
    missing = wrong = 0
    for path, catalog in _updated(_codes()):
        for sentence in untranslated(catalog):
            missing += 1
            typer.echo(f"{path.relative_to(ROOT)}: {sentence}")
        for sentence, reason in broken(catalog):
            wrong += 1
            typer.echo(f"{path.relative_to(ROOT)}: {sentence}\n  {reason}")
    told: list[str] = []
    if missing:
        told.append(
            f"{missing} sentences have no translation. `uv run app i18n update` adds them to the files."
        )
    if wrong:
        told.append(f"Wrong placeholders: {wrong}. Responses that use them would fail or lack a value.")
    if told:
        fail("\n".join(told))


def _codes() -> set[str]:
    return {path.stem for path in _own_folder().glob("*.po")}


def _updated(codes: Iterable[str]) -> Iterator[tuple[Path, Catalog]]:
    """The translation files for the languages in *codes*, each with the sentences that belong in it."""
    for folder, template in extracted().items():
        for code in sorted(codes):
            path = folder / f"{code}.po"
            catalog = _read(path, code)
            catalog.update(template, no_fuzzy_matching=True)
            yield path, catalog


def _own_folder() -> Path:
    """The folder for the translations of the application and of features without their own folder."""
    return ROOT / "i18n" / "locales"


def extracted() -> dict[Path, Catalog]:
    """Every sentence that is marked for translation, grouped by translation folder."""
    own = Catalog(charset="utf-8")
    of_features = {
        folder.parent.name: Catalog(charset="utf-8")
        for folder in sorted(ROOT.glob("*/locales"))
        if folder != _own_folder()
    }
    found: Iterator[tuple[Any, ...]] = extract_from_dir(
        PROJECT / "app",
        method_map=_METHODS,
        options_map={"**.html": _AS_RENDERED},
        keywords=_KEYWORDS,
    )
    for filename, _line, message, comments, context in found:
        catalog = of_features.get(Path(filename).parts[0], own)
        # Omit line numbers, so that a file changes only when a sentence does.
        catalog.add(message, locations=[(filename, 0)], auto_comments=comments, context=context)
    for catalog in of_features.values():
        for message in own:
            if message.id:
                catalog.delete(message.id)
    return {_own_folder(): own} | {
        ROOT / feature / "locales": catalog for feature, catalog in of_features.items()
    }


def untranslated(catalog: Catalog) -> Iterator[str]:
    """The sentences in *catalog* that have no translation."""
    for message in catalog:
        if message.id and not all(_forms(message.string)):
            yield _forms(message.id)[0]


_PLACEHOLDER = re.compile(r"%\(\w+\)[-+ #0.\d]*\w?|\{[^{}]*\}")
"""`%(name)s` or `{name}`."""


def broken(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """The sentences in *catalog* whose translation would fail or omit a value, each with the reason."""
    # Babel's own check ignores `{name}` and mistakes the `% o` in "80% of" for a placeholder.
    for message in catalog:
        sentences = _forms(message.id)
        known = set(_PLACEHOLDER.findall(" ".join(sentences)))
        for translation in filter(None, _forms(message.string)) if message.id else ():
            found = set(_PLACEHOLDER.findall(translation))
            # A plural form may leave out the number.
            lacking = known - found if len(sentences) == 1 else ()
            wrong = [f"{each} is not in the sentence" for each in sorted(found - known)]
            wrong += [f"{each} is missing" for each in sorted(lacking)]
            for each in wrong or _malformed(message, translation):
                yield sentences[0], f"{each}: {translation}"


def _malformed(message: Message, translation: str) -> Iterator[str]:
    """The reason *translation* cannot be formatted when the source sentence can, for example a single %."""
    sentence = " ".join(_forms(message.id))
    in_template = any(not file.endswith(".py") for file, _ in message.locations)
    for fill, is_used in ((str.__mod__, in_template or "%(" in sentence), (str.format_map, "{" in sentence)):
        if is_used and not _error(fill, sentence) and (error := _error(fill, translation)):
            yield f"it cannot be filled in ({error})"


def _error(fill: Callable[[str, dict[str, int]], str], text: str) -> str:
    try:
        fill(text, defaultdict(int))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        return repr(error)
    return ""


def _forms(text: Any) -> list[str]:
    """The singular and plural forms."""
    return [*text] if isinstance(text, tuple | list) else [text or ""]


def _read(path: Path, code: str) -> Catalog:
    if not path.exists():
        return Catalog(locale=code, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=code)


_NEEDED = ("Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")


def _write(path: Path, catalog: Catalog) -> None:
    # Omit dates, versions and names, which would change with every update.
    catalog.header_comment = "# Fill in the empty translations. `uv run app i18n update` adds new sentences."
    content = io.BytesIO()
    write_po(content, catalog, width=100, sort_output=True, no_location=True)
    lines = content.getvalue().decode().strip().splitlines()
    end = lines.index("") if "" in lines else len(lines)
    header = [
        line for line in lines[:end] if not line.startswith('"') or line[1:].partition(":")[0] in _NEEDED
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*header, *lines[end:]]) + "\n", "utf-8")
