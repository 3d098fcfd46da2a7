"""A setting of a feature that the project does not have is rejected when the server starts."""

import pytest

from app.settings import SettingsError
from app.settings_checks import features
from tests.conftest import make_settings

WEBHOOK = {"mailgun_webhook_key": "the-key-of-this-test"}
ALL = WEBHOOK | {"slow_query_ms": 0, "passkey_domain": "example.com"}


@pytest.fixture
def without(monkeypatch):
    """`without("passkeys")`: pretend that the project does not have this feature."""

    def remove(*names):
        missing = {f"app.{name}" for name in names}
        monkeypatch.setattr(features, "find_spec", lambda name: None if name in missing else object())

    return remove


def test_the_error_names_the_setting_and_the_feature(without):
    without("mail_webhooks")

    with pytest.raises(SettingsError) as caught:
        features.require(make_settings(**WEBHOOK))

    assert str(caught.value) == (
        "MAILGUN_WEBHOOK_KEY: has no effect without the mail_webhooks feature. Add it with"
        " `uv run app add mail_webhooks`, or remove the setting."
    )


def test_every_setting_without_its_feature_is_named(without):
    without("mail_webhooks", "observability", "passkeys")

    with pytest.raises(SettingsError) as caught:
        features.require(make_settings(**ALL))

    assert [line.partition(":")[0].lower() for line in str(caught.value).splitlines()] == list(ALL)


def test_a_setting_of_an_existing_feature_is_accepted(without):
    without()

    features.require(make_settings(**ALL))


def test_a_default_is_accepted(without):
    without("mail_webhooks", "observability", "passkeys")

    features.require(make_settings())


async def test_the_server_does_not_start(without, build_app, started):
    without("mail_webhooks")

    with pytest.raises(RuntimeError, match="MAILGUN_WEBHOOK_KEY"):
        async with started(build_app(**WEBHOOK)):
            pass
