"""Translations: one `.po` file per language in `locales/`. English is the source language.

A feature with its own `locales` folder keeps its translations there, so they are added and removed with the
feature. `uv run app i18n update fr` creates the files for a new language. `_("...")` marks a sentence for
translation, in Python and in templates, which also support the `trans` block. Sentences in error responses
(`Problem(409, "...")`) do not need to be marked. A request's language is the one that its user has set
(`User.language`), the one in the browser's cookie, or the best match for Accept-Language, in that order.
"""

import io
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any

from babel import Locale, negotiate_locale
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

SOURCE_LANGUAGE = "en"
_LOCALES = Path(__file__).parent / "locales"
_APP = Path(__file__).parent.parent
_language: ContextVar[str | None] = ContextVar("language", default=None)


@cache
def languages() -> list[str]:
    """The codes of all languages, English first."""
    return [SOURCE_LANGUAGE, *sorted(path.stem for path in _LOCALES.glob("*.po"))]


@cache
def names() -> dict[str, str]:
    """The name of each language in that language, keyed by code."""
    return {code: Locale.parse(code).get_language_name(code) or code for code in languages()}


@cache
def translations(language: str) -> NullTranslations:
    """The translations for *language*. A language needs only a `.po` file, which is compiled in memory."""
    path = _LOCALES / f"{language}.po"
    if language not in languages() or not path.is_file():
        return NullTranslations()
    found = _compiled(path, language)
    for of_feature in sorted(_APP.glob(f"*/locales/{language}.po")):
        if of_feature != path:
            found.add_fallback(_compiled(of_feature, language))
    return found


def _compiled(path: Path, language: str) -> GNUTranslations:
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=256)
def language_for(accept_language: str) -> str | None:
    """The best language for an Accept-Language header (RFC 9110, section 12.5.4), or None if none matches."""
    wanted = [code.replace("-", "_") for code in _by_quality(accept_language)]
    # The result keeps the client's spelling, for example `DE`.
    found = negotiate_locale(wanted, languages()) or ""
    return next((each for each in languages() if each.lower() == found.lower()), None)


def _by_quality(accept_language: str) -> Iterable[str]:
    ranges: list[tuple[float, str]] = []
    for part in accept_language[:200].split(","):
        code, _, quality = part.strip().partition(";q=")
        try:
            ranges.append((float(quality or 1), code))
        except ValueError:
            continue
    return [code for quality, code in sorted(ranges, key=lambda each: -each[0]) if quality > 0]


@contextmanager
def using(language: str | None) -> Generator[None]:
    """Translate into *language* within the block, or into English if *language* is None."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def use(language: str | None) -> None:
    """Translate into *language* until the `using` block ends. None or an unknown language has no effect."""
    if language in languages():
        _language.set(language)


def chosen_language() -> str | None:
    """The code of the language that the user or client requested, or None."""
    return _language.get()


def current_language() -> str:
    """The code of the current language."""
    return _language.get() or SOURCE_LANGUAGE


def language_tag(language: str) -> str:
    """The language code in the form used in HTML and HTTP (BCP 47): `pt_BR` becomes `pt-BR`."""
    return language.replace("_", "-")


def gettext(sentence: str) -> str:
    """*sentence* in the current language."""
    # The entry for the empty string is the file's header.
    return translations(current_language()).gettext(sentence) if sentence else sentence


def ngettext(one: str, many: str, count: int) -> str:
    """*one* or *many*, depending on *count*, in the current language."""
    return translations(current_language()).ngettext(one, many, count)


def format_moment(moment: datetime) -> str:
    """Date and time in UTC, in the current language's format."""
    return format_datetime(moment, "medium", tzinfo=UTC, locale=current_language()) + " UTC"


def marked(sentence: str) -> str:
    """*sentence* unchanged, but marked for translation. It is translated later, by `_(variable)`."""
    return sentence


def translate_templates(environment: Environment) -> None:
    """Make `_`, `ngettext`, `language_tag` and the `trans` block available in *environment*'s templates."""
    environment.add_extension("jinja2.ext.i18n")
    # Replace line breaks in a sentence with spaces.
    environment.policies["ext.i18n.trimmed"] = True
    install_gettext: Callable[..., None] = environment.install_gettext_callables  # type: ignore[attr-defined]
    install_gettext(gettext, ngettext, newstyle=True)
    # This function, called dozens of times per page, is three times as fast as the one installed above.
    names: dict[str, Any] = environment.globals  # type: ignore[assignment]
    names["gettext"] = names["_"] = _in_template
    names["language_tag"] = language_tag


@pass_eval_context
def _in_template(context: EvalContext, sentence: str, **values: object) -> str:
    """*sentence* in the current language, with *values* filled in. The values are escaped if autoescaping is
    on."""
    text = _text_of(sentence, current_language(), bool(context.autoescape))
    # The `trans` block doubles percent signs.
    return text % values if "%" in text else text


@lru_cache(maxsize=4096)
def _text_of(sentence: str, language: str, is_html: bool) -> str:
    with using(language):
        text = gettext(sentence)
    # The sentences come from the project, so they are safe.
    return Markup(text) if is_html else text  # noqa: S704  # nosec B704


_ = gettext
N_ = marked
