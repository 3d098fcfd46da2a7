"""MAIL_BACKEND is checked at startup: its required settings are present, and no key is shown."""

import importlib.util

import pytest

from app.settings import SettingsError, load_settings

KEY = "k3y-of-the-provider"
COMPLETE = {
    "ses": {"AWS_REGION": "eu-central-1"},
    "sendgrid": {"SENDGRID_API_KEY": KEY},
    "mailgun": {"MAILGUN_API_KEY": KEY, "MAILGUN_DOMAIN": "mg.example.com"},
    "resend": {"RESEND_API_KEY": KEY},
}


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in {"SECRET_KEY": "of the tests " * 4, **values}.items():
        monkeypatch.setenv(name, value)
    load_settings(None)


@pytest.mark.parametrize("backend", COMPLETE)
def test_a_complete_backend_is_accepted(monkeypatch: pytest.MonkeyPatch, backend: str):
    load(monkeypatch, MAIL_BACKEND=backend, **COMPLETE[backend])


@pytest.mark.parametrize(
    ("backend", "missing"), [(backend, name) for backend, needed in COMPLETE.items() for name in needed]
)
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, backend: str, missing: str):
    others = {name: value for name, value in COMPLETE[backend].items() if name != missing}

    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, MAIL_BACKEND=backend, **others)

    assert str(caught.value).splitlines()[1:] == [f"  {missing}: must be set if MAIL_BACKEND is {backend}."]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "app.settings_checks.mail.find_spec", lambda name: None if name == "boto3" else find(name)
    )

    with pytest.raises(SettingsError, match="install it with `uv add boto3`"):
        load(monkeypatch, MAIL_BACKEND="ses", **COMPLETE["ses"])


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SENDGRID_API_KEY", f"{KEY}\nX", "must contain only ASCII characters and no spaces"),
        ("RESEND_API_KEY", f"{KEY}é", "must contain only ASCII characters and no spaces"),
        ("MAILGUN_DOMAIN", "https://mg.example.com/x", "must be a domain such as example.org"),
        ("MAILGUN_REGION", "asia", "'us' or 'eu'"),
        ("AWS_REGION", "eu.central", "pattern"),
        ("AWS_SECRET_ACCESS_KEY", KEY, "must be set together with AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_an_invalid_setting_is_refused_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
):
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: value})

    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)
