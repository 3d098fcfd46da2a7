"""What production requires, in addition to test_security_headers.py. Checklist 40."""

from hashlib import sha256

import pytest
from pydantic import ValidationError

from app.settings import Settings

KEY = sha256(b"the secret of the tests").hexdigest()
PRODUCTION = {
    "environment": "production",
    "secret_key": KEY,
    "base_url": "https://test",
    "mail_backend": "smtp",
    "mail_sender": "app@example.com",
    "smtp_host": "smtp.example.com",
    "smtp_security": "starttls",
}


@pytest.mark.parametrize(
    ("name", "unsafe"),
    [
        ("BASE_URL", {"base_url": "http://test"}),
        ("COOKIE_SECURE", {"cookie_secure": False}),
        ("VERIFY_URL", {"verify_url": "http://test/{token}"}),
        ("RESET_URL", {"reset_url": "http://test/{token}"}),
        ("EMAIL_CHANGE_URL", {"email_change_url": "http://test/{token}"}),
        ("INVITATION_URL", {"invitation_url": "http://test/{token}"}),
        ("CORS_ORIGINS", {"cors_origins": ["http://test"]}),
        ("PASSWORD_BREACH_URL", {"password_breach_url": "http://test/range"}),
        ("PASSWORD_BREACH_URL", {"password_breach_url": "HTTP://test/range"}),
        ("SMTP_SECURITY", {"smtp_password": "a secret", "smtp_security": "none", "smtp_host": "localhost"}),
        ("SMTP_SECURITY", {"smtp_security": "none"}),
        ("DATABASE_URL", {"database_url": "postgresql://db.example.com/app"}),
        ("REDIS_URL", {"redis_url": "redis://cache.example.com"}),
        ("REDIS_URL", {"redis_url": "REDIS://cache.example.com"}),
    ],
)
def test_production_does_not_start_with_unencrypted_connections(name, unsafe):
    """Checklist 40: pages, links, cookies and passwords use only HTTPS."""
    with pytest.raises(ValidationError, match=name):
        Settings(_env_file=None, **PRODUCTION | unsafe)


def test_production_starts_with_safe_connections():
    """Checklist 40: this shows that the settings above are rejected only because of their changes."""
    assert not Settings(_env_file=None, **PRODUCTION).debug


async def test_the_api_has_no_pages(app, client, make_user, begin_session, headers_of):
    """Checklist 40; ASVS 7.4.4. The pages of `app/pages` have a logout button, which `tests/pages` tests."""
    user = await make_user(is_superuser=True)
    cookie = headers_of(await begin_session(user, kind="cookie"))
    paths = [path for path, item in app.openapi()["paths"].items() if "get" in item]

    answers = [await client.get(path.replace("{user_id}", user.id), headers=cookie) for path in paths]

    assert "/users/me" in paths
    assert [each.url for each in answers if "html" in each.headers["content-type"]] == []
