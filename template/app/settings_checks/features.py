"""Finds settings for features that the project does not have. Template-owned."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from app.settings_checks.report import SettingsError

if TYPE_CHECKING:
    from app.settings import Settings

_SETTINGS_OF = {
    "mail_webhooks": [
        "ses_topic_arn",
        "sendgrid_webhook_key",
        "mailgun_webhook_key",
        "resend_webhook_secret",
    ],
    "observability": ["metrics_port", "metrics_host", "otlp_endpoint", "sentry_dsn", "slow_query_ms"],
    "passkeys": ["passkey_domain"],
}


def require(settings: "Settings") -> None:
    """Reject settings that would have no effect.

    Raises:
        SettingsError: a setting's feature is not installed. The message names each setting and its feature.
    """
    if problems := list(_without_effect(settings)):
        raise SettingsError("\n".join(problems))


def _without_effect(settings: "Settings") -> Iterator[str]:
    for feature, names in _SETTINGS_OF.items():
        if find_spec(f"app.{feature}") is not None:
            continue
        for name in names:
            if name in settings.model_fields_set:
                yield (
                    f"{name.upper()}: has no effect without the {feature} feature. Add it with"
                    f" `uv run app add {feature}`, or remove the setting."
                )
