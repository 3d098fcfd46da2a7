"""Features are found automatically and installed after the features that they require."""

import importlib
import sys
from pathlib import Path

import pytest

import app as package
from app.main import FeatureError, create_app, in_order, load_features


def test_a_feature_follows_the_features_it_requires() -> None:
    required = {"billing_of_a_test": ("mail", "users"), "mail": (), "users": ("limits", "mail"), "limits": ()}

    assert in_order(required) == ["limits", "mail", "users", "billing_of_a_test"]


def test_independent_features_are_in_alphabetical_order() -> None:
    assert in_order({"c": (), "a": (), "b": ()}) == ["a", "b", "c"]


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(FeatureError, match="app/billing_of_a_test requires the feature 'mial'"):
        in_order({"billing_of_a_test": ("mial",), "mail": ()})


def test_circular_requirements_are_named() -> None:
    with pytest.raises(FeatureError, match=r"app/(a|b) requires app/(a|b), which requires app/(a|b)\."):
        in_order({"a": ("b",), "b": ("a",), "c": ()})


@pytest.fixture
def feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`feature("billing_of_a_test", "...")`: adds a package to `app` until the end of the test."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    before = set(sys.modules)

    def make(name: str, source: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source, "utf-8")
        importlib.invalidate_caches()

    yield make
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_a_feature_uses_what_another_has_installed(feature, settings) -> None:
    """`billing_of_a_test` comes before `mail` alphabetically."""
    feature(
        "billing_of_a_test",
        'REQUIRES = ("mail",)\n\ndef install(app):\n    app.state.billing = app.state.mail.default_sender\n',
    )

    app = create_app(settings)

    assert app.state.billing == settings.mail_sender


def test_requirements_that_are_not_a_tuple_are_named(feature) -> None:
    feature("billing_of_a_test", 'REQUIRES = ("mail")\n\ndef install(app):\n    pass\n')

    with pytest.raises(FeatureError, match=r'app.billing_of_a_test must be a tuple: \("mail",\)\.'):
        load_features()


def test_a_package_without_install_is_not_a_feature(feature) -> None:
    feature("texts", "")

    assert "app.texts" not in [module.__name__ for module in load_features()]


# Your own tests go below; template updates never touch them.
