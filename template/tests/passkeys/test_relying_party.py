"""Where passkeys work: PASSKEY_DOMAIN, BASE_URL and CORS_ORIGINS."""

import pytest

from app.passkeys.ceremonies import relying_party
from app.settings import SettingsError
from tests.conftest import make_settings


@pytest.mark.parametrize(
    ("values", "domain", "origins"),
    [
        ({"base_url": "https://app.example.org"}, "app.example.org", ["https://app.example.org"]),
        (
            {"base_url": "https://app.example.org:8443", "passkey_domain": "example.org"},
            "example.org",
            ["https://app.example.org:8443"],
        ),
        (
            {
                "base_url": "https://api.example.org/v1",
                "passkey_domain": "example.org",
                "cors_origins": ["https://app.example.org", "https://example.net", "https://notexample.org"],
            },
            "example.org",
            ["https://api.example.org", "https://app.example.org"],
        ),
        ({"base_url": "http://127.0.0.1:8000"}, "localhost", ["http://localhost:8000"]),
        ({"base_url": "http://localhost:8000"}, "localhost", ["http://localhost:8000"]),
        (
            {"base_url": "https://Bücher.example:443"},
            "xn--bcher-kva.example",
            ["https://xn--bcher-kva.example"],
        ),
    ],
)
def test_passkeys_work_on_the_applications_pages_within_the_domain(values, domain, origins):
    party = relying_party(make_settings(**values))

    assert (party.id, party.origins) == (domain, origins)


@pytest.mark.parametrize(
    "values",
    [
        {"base_url": "https://app.example.org", "passkey_domain": "example.net"},
        {"base_url": "https://example.org", "passkey_domain": "app.example.org"},
        {"base_url": "https://203.0.113.5"},
    ],
)
def test_a_domain_that_does_not_contain_the_base_url_is_refused_at_startup(build_app, values):
    with pytest.raises(SettingsError, match="PASSKEY_DOMAIN: must be the host of BASE_URL"):
        build_app(**values)


@pytest.mark.parametrize("domain", ["https://example.org", "example.org:80", "203.0.113.5", "::1", ""])
def test_a_domain_is_a_plain_name(domain):
    with pytest.raises(ValueError, match="must be a domain such as"):
        make_settings(passkey_domain=domain)


# Your own tests go below; template updates never touch them.
