"""The translations: complete, with the placeholders of the source, and chosen for each request."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from app import i18n
from app.i18n import commands
from app.i18n.commands import LOCALES, extracted, untranslated

PROJECT = Path(__file__).parent.parent
TEMPLATES = sorted(
    path
    for folder in ("app/pages/templates", "app/users/pages", "app/users/emails", "app/web/templates")
    for path in (PROJECT / folder).rglob("*.html")
)
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}|</?\w+>")


def german():
    with (LOCALES / "de.po").open("rb") as file:
        return read_po(file, locale="de")


def test_every_sentence_is_translated():
    catalog = german()
    catalog.update(extracted(), no_fuzzy_matching=True)

    assert list(untranslated(catalog)) == []
    assert list(catalog.obsolete) == []


def test_a_translation_has_the_placeholders_of_its_sentence():
    wrong = [
        message.id
        for message in german()
        if message.id and isinstance(message.id, str)
        if sorted(PLACEHOLDER.findall(message.id)) != sorted(PLACEHOLDER.findall(message.string))
    ]

    assert wrong == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_sentence_of_a_template_is_extracted(path):
    text = path.read_text("utf-8")

    for part in (
        # An attribute whose value contains ">" would end its tag too early.
        r"\{\{.*?\}\}",
        r'[\w-]*="[^"<]*"',
        r"\{#.*?#\}",
        r"\{%-? *trans.*?endtrans *-?%\}",
        r"\{%.*?%\}",
        r"\{\{.*?\}\}",
        r"<style.*?</style>",
        r"<code.*?</code>",
        r"<!--.*?-->",
        r"<[^>]*>",
        r"&\w+;",
    ):
        text = re.sub(part, " ", text, flags=re.DOTALL)

    assert set(re.findall(r"[A-Za-z]{2,}", text)) - {"UTC"} == set()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en,de;q=0.5", "en"),
        ("fr,de;q=0.5", "de"),
        ("de;q=0", "en"),
        ("*", "en"),
        ("", "en"),
        ("de;q=x,;;=,", "en"),
        ("x" * 5000, "en"),
    ],
)
def test_the_best_language_is_chosen(accepted, language):
    assert i18n.language_for(accepted) == language


async def test_pages_use_the_language_of_the_browser(client):
    page = await client.get("/users/verify/x", headers={"Accept-Language": "de"})

    assert page.headers["content-language"] == "de"
    assert "Dieser Link funktioniert nicht mehr" in page.text


async def test_the_chosen_language_overrides_the_browser(client):
    headers = {"Accept-Language": "en", "Cookie": "language=de"}

    page = await client.get("/users/verify/x", headers=headers)

    assert page.headers["content-language"] == "de"


async def test_an_unknown_choice_falls_back_to_the_browser(client):
    headers = {"Accept-Language": "de", "Cookie": "language=../../x"}

    page = await client.get("/users/verify/x", headers=headers)

    assert page.headers["content-language"] == "de"


async def test_errors_use_the_language_of_the_client(client):
    body = {"email": "ada@example.com", "password": "short"}

    response = await client.post("/users/register", json=body, headers={"Accept-Language": "de"})

    assert response.json()["detail"].startswith("Das Passwort ist zu kurz")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from pathlib import Path; from app.i18n import commands;"
        " commands.LOCALES = Path(sys.argv.pop(1)); commands.cli()"
    )
    command = [sys.executable, "-c", code, folder, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_language_is_added_by_its_code(tmp_path):
    added = run(tmp_path, "update", "fr")
    checked = run(tmp_path, "check")

    assert added.returncode == 0, added.stderr
    assert 'msgid "Log in"\nmsgstr ""\n' in (tmp_path / "fr.po").read_text("utf-8")
    assert checked.returncode == 1
    assert "Log in" in checked.stdout


def test_updating_an_up_to_date_catalog_changes_nothing(tmp_path):
    path = tmp_path / "de.po"
    path.write_bytes((LOCALES / "de.po").read_bytes())

    run(tmp_path, "update")

    assert path.read_text("utf-8") == (LOCALES / "de.po").read_text("utf-8")
    assert run(tmp_path, "check").returncode == 0


def test_an_invalid_language_is_refused_with_a_reason(tmp_path):
    refused = run(tmp_path, "update", "klingonese")

    assert refused.returncode == 1
    assert "is not the code of a language" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_commands_match_the_project():
    assert commands.LOCALES == PROJECT / "app" / "i18n" / "locales"
