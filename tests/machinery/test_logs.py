"""Log lines: the two formats, no forged lines, and redacted secrets."""

import json
import logging
import logging.config
import subprocess
import sys
from pathlib import Path

import pytest

from app import logs
from app.logs import JsonFormatter, TextFormatter, request_id
from app.redaction import redact

PROJECT = Path(__file__).parent.parent
FORMATTERS = [JsonFormatter(), TextFormatter()]

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl-_A"  # pragma: allowlist secret
SESSION = "6f1c0b6e-5d1c-4c0e-9a53-5a0ad6a5f1a3." + "A-_9" * 16 + "=="


def record(message="a message", *arguments, error=None, **extra):
    made = logging.LogRecord("app.test", logging.WARNING, "file.py", 1, message, arguments, None)
    made.created = 1_700_000_000.123
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    vars(made).update(extra)
    return made


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.fixture
def in_request():
    """Run the test inside a request."""
    token = request_id.set("id-1")
    yield
    request_id.reset(token)


# The two formats


def test_json_is_one_object_per_line(in_request):
    line = JsonFormatter().format(record("user %s", "ada", status=200, user=None))

    assert "\n" not in line
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.123Z",
        "level": "WARNING",
        "logger": "app.test",
        "message": "user ada",
        "request_id": "id-1",
        "status": 200,
        "user": None,
    }


def test_text_is_one_readable_line(in_request):
    line = TextFormatter().format(record("user %s", "ada", status=200, user=None))

    assert line == "2023-11-14T22:13:20.123Z WARNING app.test user ada status=200 request_id=id-1"


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_there_is_no_request_id_outside_requests(formatter):
    assert "request_id" not in formatter.format(record())


def test_json_has_a_traceback_field():
    line = JsonFormatter().format(record(error=raised(ValueError("wrong"))))

    assert "\n" not in line
    assert json.loads(line)["exc_info"].startswith("Traceback")
    assert json.loads(line)["exc_info"].endswith("ValueError: wrong")


def test_text_has_the_traceback_below_the_line():
    first, *rest = TextFormatter().format(record(error=raised(ValueError("wrong")))).splitlines()

    assert first.endswith("a message")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: wrong"


@pytest.mark.parametrize("value", [object(), {"a": object()}, b"bytes", {1, 2}, float("nan"), "\ud800"])
@pytest.mark.parametrize("formatter", FORMATTERS)
def test_any_value_can_be_logged(formatter, value):
    line = formatter.format(record("%s", value, value=value, password=value))

    assert line.encode("utf-8")
    assert "\n" not in line


# Forged lines


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\r\n", "\0", "\x1b[2K", "\x08", "\x85", "\u2028", "\u202e", "\x7f"]
)
@pytest.mark.parametrize("formatter", FORMATTERS)
def test_client_input_cannot_start_a_new_line(formatter, character):
    """CWE-117."""
    forged = f"/a{character}2023-11-14T22:13:20.123Z INFO app.access GET /forged 200"

    line = formatter.format(record("GET %s", forged, path=forged))

    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_an_exception_message_cannot_start_a_new_line():
    error = raised(ValueError("x\n2023-11-14T22:13:20.123Z INFO app.test forged\r\x1b[2K"))

    _, *rest = TextFormatter().format(record(error=error)).splitlines()

    assert all(line.startswith("    ") and line.isprintable() for line in rest)


# Secrets

SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"a token {JWT} here", JWT),
        (f"/users/verify/{JWT}?x=1", JWT),
        (f"token={JWT.rpartition('.')[0]}.", JWT.split(".")[1]),
        (f"refresh {SESSION} used", "A-_9A-_9"),
        (f"Bearer {SECRET}", SECRET),
        (f"authorization: bearer {SECRET}", SECRET),
        (f"Authorization: Basic {SECRET}", SECRET),
        (f"Cookie: theme=dark; session={SECRET}", SECRET),
        (f'Cookie: theme="dark"; session={SECRET}', SECRET),
        (f"Set-Cookie: __Host-session={SECRET}; Path=/", SECRET),
        ("{'cookie': 'theme=dark; session=" + SECRET + "'}", SECRET),
        (f"[(b'host', b'a'), (b'cookie', b'theme=dark; session={SECRET}')]", SECRET),
        (f"[(b'authorization', b'Digest {SECRET}')]", SECRET),
        (f"password={SECRET}&remember=1", SECRET),
        (f"PASSWORD: {SECRET}", SECRET),
        (f"new_password='{SECRET}'", SECRET),
        ('{"email": "a@b.c", "password": "' + SECRET + '"}', SECRET),
        ('{"password":"with \\" quote ' + SECRET + '"}', SECRET),
        ("{'current_password': 'with spaces " + SECRET + "'}", SECRET),
        ('{\\"password\\": \\"' + SECRET + '\\"}', SECRET),
        (f"SMTP_PASSWORD={SECRET}", SECRET),
        (f"SECRET_KEY={SECRET}", SECRET),
        (f'"refresh_token": "{SECRET}"', SECRET),
        (f"postgresql+asyncpg://ada:{SECRET}@db:5432/app", SECRET),
        (f"redis://:{SECRET}@cache", SECRET),
        (f"duplicate key\nDETAIL:  Key (email)=({SECRET}) already exists.\n[SQL: INSERT]", SECRET),
        (f"violates a constraint\nDETAIL:  Failing row contains (7, {SECRET}, null).", SECRET),
    ],
)
@pytest.mark.parametrize("formatter", FORMATTERS)
def test_text_that_looks_like_a_secret_is_redacted(formatter, text, secret):
    """Checklist 39; ASVS 16.2.5."""
    inside = formatter.format(record(text, error=raised(ValueError(text)), field=text, nested={"a": [text]}))

    assert secret not in inside
    assert "[redacted]" in inside


@pytest.mark.parametrize("name", ["password", "new_password", "Cookie", "Authorization", "refresh_token"])
def test_a_field_named_like_a_secret_is_redacted(name):
    line = JsonFormatter().format(record(**{name: SECRET}, nested={name: [SECRET]}))

    assert json.loads(line)[name] == "[redacted]"
    assert json.loads(line)["nested"] == {name: "[redacted]"}


@pytest.mark.parametrize(
    "text",
    [
        "GET /users/me 200",
        "mail 7 sent",
        "https://app.example.org/users/me?a=b@c",
        "user 6f1c0b6e-5d1c-4c0e-9a53-5a0ad6a5f1a3 at 203.0.113.9",
        'File "/srv/app/users/manager.py", line 12, in reset_password',
        "the password is too short",
        "a cookie of another site",
    ],
)
def test_text_without_secrets_is_unchanged(text):
    assert redact(text) == text


def test_text_around_a_secret_is_kept():
    assert redact(f"before password={SECRET}, after") == "before password=[redacted], after"
    assert redact(f"postgresql://ada:{SECRET}@db/app") == "postgresql://[redacted]@db/app"
    assert redact(f"a\nDETAIL:  Key ({SECRET}).\n[SQL: b]") == "a\nDETAIL:  [redacted]\n[SQL: b]"
    assert redact(f"a\\nDETAIL:  Key ({SECRET}).\\n[SQL: b]") == "a\\nDETAIL:  [redacted]\\n[SQL: b]"


@pytest.mark.parametrize(
    "text",
    ["password='" + "\\" * 50_000, "cookie" * 20_000, "eyJ" * 30_000, "://" * 50_000, "DETAIL: " * 30_000],
)
def test_redaction_is_fast_for_any_text(text):
    """A backtracking pattern would never finish."""
    assert redact(text)


# The configuration


@pytest.mark.parametrize(("chosen", "formatter"), [("json", "JsonFormatter"), ("text", "TextFormatter")])
def test_the_log_format_is_a_setting(settings, chosen, formatter):
    changed = settings.model_copy(update={"log_format": chosen})

    assert logs.configuration(changed)["formatters"]["line"]["()"] == f"app.logs.{formatter}"


def test_the_served_application_uses_the_log_settings(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "0123456789abcdef" * 4)
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("LOG_LEVEL", "warning")
    code = (
        "import logging, app.asgi; logging.getLogger('mine').info('no');"
        "logging.getLogger('mine').warning('yes'); logging.getLogger('_granian').info('granian')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [("mine", "yes"), ("_granian", "granian")]


def test_urls_that_the_application_requests_are_not_logged(settings):
    """The URL that confirms an Amazon SNS subscription contains a token."""
    loggers = logs.configuration(settings.model_copy(update={"log_level": "DEBUG"}))["loggers"]

    assert loggers["httpx"] == {"level": "WARNING"}


def test_building_an_application_does_not_configure_logging(build_app):
    before = list(logging.getLogger().handlers)

    build_app(log_format="json")

    assert logging.getLogger().handlers == before
