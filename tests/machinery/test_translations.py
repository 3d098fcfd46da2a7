"""The translations are complete, have the source's placeholders, and are chosen for each request."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2 import Environment

from app import i18n
from app.i18n import commands
from app.i18n.commands import ROOT, broken, extracted, untranslated
from app.limits import too_many

PROJECT = Path(__file__).parent.parent
TEMPLATES = sorted(
    path for folder in ("templates", "pages", "emails") for path in ROOT.glob(f"*/{folder}/**/*.html")
)
ADA = {"email": "ada@example.com", "password": "short"}
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}|</?\w+>")


FOLDERS = sorted(ROOT.glob("*/locales"), key=lambda path: (path.parent.name != "i18n", path))
"""The application's folder comes first."""
OF_EACH_FOLDER = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.parent.name)


def german(folder):
    with (folder / "de.po").open("rb") as file:
        return read_po(file, locale="de")


@OF_EACH_FOLDER
def test_every_sentence_is_translated(folder):
    catalog = german(folder)
    catalog.update(extracted()[folder], no_fuzzy_matching=True)

    assert list(untranslated(catalog)) == []
    assert list(catalog.obsolete) == []


def test_a_sentence_of_the_application_is_in_no_other_file():
    own = {message.id for message in german(ROOT / "i18n" / "locales") if message.id}

    assert [each.id for folder in FOLDERS[1:] for each in german(folder) if each.id in own] == []


@OF_EACH_FOLDER
def test_a_translation_has_the_placeholders_of_its_sentence(folder):
    wrong = [
        message.id
        for message in german(folder)
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
        ("DE", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en,de;q=0.5", "en"),
        ("fr,de;q=0.5", "de"),
        ("de;q=0", None),
        ("*", None),
        ("", None),
        ("fr", None),
        ("de;q=x,;;=,", None),
        ("x" * 5000, None),
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


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "sentence"),
    [
        ("GET", "/nowhere", None, "not_found", "Unter dieser URL gibt es keine Ressource."),
        ("PUT", "/users/login", None, "method_not_allowed", "Diese URL erlaubt nur POST."),
        ("GET", "/users/me", None, "not_logged_in", "Melden Sie sich zuerst an"),
        (
            "POST",
            "/users/login",
            {"email": "a@b.c", "password": "x"},
            "invalid_credentials",
            "Die E-Mail-Adresse",
        ),
        (
            "POST",
            "/users/register",
            {"email": "a@b.co", "password": "x"},
            "weak_password",
            "Das Passwort ist zu",
        ),
        ("POST", "/users/verify", {"token": "x"}, "invalid_link", "Der Link funktioniert nicht mehr"),
        ("POST", "/users/login", {}, "validation_failed", "Die Anfrage ist nicht gültig."),
    ],
    ids=lambda value: value if isinstance(value, str) and value.islower() else "",
)
async def test_an_error_is_in_the_language_of_the_client(client, method, path, body, code, sentence):
    """Text that is meant for programs is the same in every language."""
    german, english = [
        await client.request(method, path, json=body, headers={"Accept-Language": language})
        for language in ("de", "en")
    ]

    assert german.json()["detail"].startswith(sentence)
    assert english.json()["detail"] != german.json()["detail"]
    assert german.json()["code"] == english.json()["code"] == code
    assert [[each.json()[key] for key in ("type", "title", "status")] for each in (german, english)] == [
        ["about:blank", english.json()["title"], english.status_code]
    ] * 2
    assert [each.headers["content-language"] for each in (german, english)] == ["de", "en"]
    assert {each.headers["vary"] for each in (german, english)} == {"Accept, Accept-Language, Cookie"}


async def test_field_errors_are_in_the_language_of_the_client(client):
    response = await client.post("/users/login", json={"email": 1}, headers={"Accept-Language": "de"})

    assert response.json()["errors"] == [
        {"field": "email", "message": "Das muss Text sein.", "code": "invalid"},
        {"field": "password", "message": "Dieses Feld ist erforderlich.", "code": "missing"},
    ]


async def test_a_refusal_states_the_wait_in_the_language_of_the_client():
    with i18n.using("de"):
        german = too_many(90)

    assert german.detail == "Zu viele Anfragen aus Ihrem Netzwerk. Versuchen Sie es in 90 Sekunden erneut."
    assert too_many(7200).detail == "Too many requests from your network. Try again in 120 minutes."


@pytest.mark.parametrize("path", sorted((PROJECT / "app").rglob("*.py")), ids=str)
def test_no_error_has_a_sentence_that_cannot_be_extracted(path):
    """`app i18n update` finds text in these calls, but not f-strings or concatenations."""
    calls = [each for each in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(each, ast.Call)]
    sentences = [
        call.args[1]
        for call in calls
        if isinstance(call.func, ast.Name) and len(call.args) > 1
        if call.func.id in {"Problem", "problem_response", "invalid", "FieldError"}
    ]

    assert [ast.unparse(each) for each in sentences if isinstance(each, ast.JoinedStr | ast.BinOp)] == []


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{% trans %}50% off{% endtrans %}", "50% off"),
        ("{% trans share=50 %}{{ share }}% off{% endtrans %}", "50% off"),
        ("{% trans %}\n  two\n  lines\n{% endtrans %}", "two lines"),
    ],
)
def test_a_template_looks_up_the_extracted_sentence(tmp_path, monkeypatch, template, shown):
    folder = tmp_path / "app" / "shop" / "templates"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text(template)
    monkeypatch.setattr(commands, "PROJECT", tmp_path)
    (own, *_) = extracted().values()
    looked_up = []
    monkeypatch.setattr(i18n, "gettext", lambda sentence: looked_up.append(sentence) or sentence)
    environment = Environment(autoescape=True)
    i18n.translate_templates(environment)

    assert environment.from_string(template).render() == shown
    assert looked_up == [message.id for message in own if message.id]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A folder with copies of all translations, in the same subfolders as in the application."""
    for folder in FOLDERS:
        shutil.copytree(folder, tmp_path / folder.relative_to(ROOT))
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from pathlib import Path; from app.i18n import commands;"
        " commands.ROOT = Path(sys.argv.pop(1)); commands.cli()"
    )
    command = [sys.executable, "-c", code, root, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_language_is_added_by_its_code(copies):
    added = run(copies, "update", "fr")
    checked = run(copies, "check")

    assert added.returncode == 0, added.stderr
    assert 'msgid "Log in"\nmsgstr ""\n' in (copies / "i18n/locales/fr.po").read_text("utf-8")
    assert {path.name for path in copies.glob("*/locales/*")} == {"de.po", "fr.po"}
    assert checked.returncode == 1
    assert "Log in" in checked.stdout


def test_updating_up_to_date_translations_changes_nothing(copies):
    run(copies, "update")

    for folder in FOLDERS:
        copy = copies / folder.relative_to(ROOT) / "de.po"
        assert copy.read_text("utf-8") == (folder / "de.po").read_text("utf-8")
    assert run(copies, "check").returncode == 0


ONE, MANY = "%(num)s e-mail for {name}", "%(num)s e-mails for {name}"


@pytest.mark.parametrize(
    ("sentence", "translation", "wrong"),
    [
        ("%(num)s left", "%(numb)s übrig", ["%(numb)s is not in", "%(num)s is missing"]),
        ("%(num)s left", "noch mehr übrig", ["%(num)s is missing"]),
        ("%(num)s left", "%(num)s von %(all)s", ["%(all)s is not in"]),
        ("%(num)s left", "%(num) übrig", ["%(num) ü is not in", "%(num)s is missing"]),
        ("%(num)s%% left", "%(num)s % übrig", ["it cannot be filled in ("]),
        ("{time} left", "{tiem} übrig", ["{tiem} is not in", "{time} is missing"]),
        ("{time} left", "{time übrig", ["{time} is missing"]),
        ("{time} left", "{time}} übrig", ["it cannot be filled in ("]),
        ("left", "{time} übrig", ["{time} is not in"]),
        ("left", "100 % übrig", ["it cannot be filled in ("]),
        ((ONE, MANY), ("eine für {name}", "%(numb)s für {name}"), ["%(numb)s is not in"]),
        ((ONE, MANY), ("eine für {nam}", "%(num)s für {name}"), ["{nam} is not in"]),
        ((ONE, MANY), ("eine für {name}", "%(num)s für {name}"), []),
        ("%(num)s of {all}", "{all}: {all}, %(num)s", []),
        ("{when:%H:%M} left", "noch {when:%H:%M}", []),
        ("80% of it", "80 % davon", []),
        ("a } b", "{ b", []),
    ],
    ids=str,
)
def test_a_broken_placeholder_is_found(sentence, translation, wrong):
    catalog = Catalog(locale="de")
    catalog.add(sentence, translation, locations=[("app/pages/templates/page.html", 0)])

    found = list(broken(catalog))

    assert [reason[: len(start)] for (_, reason), start in zip(found, wrong, strict=True)] == wrong


def test_a_single_percent_sign_is_fine_outside_templates():
    catalog = Catalog(locale="de")
    catalog.add("All is left", "100 % übrig", locations=[("app/notes/routes.py", 0)])

    assert list(broken(catalog)) == []


def test_the_check_names_a_broken_placeholder(copies):
    file = copies / "i18n/locales/de.po"
    text = file.read_text("utf-8")
    file.write_text(
        text.replace("%(num)s E-Mail", "%(numb)s E-Mail").replace("nur {methods}", "nur {method}"), "utf-8"
    )

    checked = run(copies, "check")

    assert checked.returncode == 1
    assert (
        "i18n/locales/de.po: %(num)s e-mail is waiting to be sent.\n  %(numb)s is not in the"
        in checked.stdout
    )
    assert "i18n/locales/de.po: This URL allows only {methods}.\n  {method} is not in the" in checked.stdout
    assert "no translation" not in checked.stderr


def test_a_sentence_of_a_feature_goes_into_its_own_folder(copies):
    (copies / "limits" / "locales").mkdir(parents=True)

    run(copies, "update")

    sentence = '\nmsgid "{reason} Try again in {time}."\n'
    having = [path for path in copies.glob("*/locales/de.po") if sentence in path.read_text("utf-8")]
    assert [path.parent.parent.name for path in having] == ["limits"]


def test_an_invalid_language_is_refused_with_a_reason(copies):
    refused = run(copies, "update", "klingonese")

    assert refused.returncode == 1
    assert "is not a language code" in refused.stderr
    assert {path.name for path in copies.glob("*/locales/*")} == {"de.po"}


@pytest.mark.parametrize("code", ["en", "EN"])
def test_the_source_language_is_refused(copies, code):
    refused = run(copies, "update", code)

    assert refused.returncode == 1
    assert "needs no translation" in refused.stderr
    assert {path.name for path in copies.glob("*/locales/*")} == {"de.po"}


def test_the_commands_match_the_project():
    assert commands.ROOT == PROJECT / "app"
    assert FOLDERS[0] == PROJECT / "app" / "i18n" / "locales"
