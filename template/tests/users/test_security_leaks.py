"""Responses and logs must not reveal sensitive data."""

import pytest
from sqlalchemy import insert

from app.database import session_of
from app.users import User, UserSession, UserTokenConfig, schemas
from app.users.emails import NOTICES
from app.users.models import SECRET


@pytest.mark.parametrize("address", ["taken@example.com", "free@example.com"])
async def test_the_export_does_not_reveal_whether_the_new_address_is_taken(client, make_user, login, address):
    """Checklist 13; ASVS 6.3.8."""
    await make_user("taken@example.com")
    headers = login(await make_user("ada@example.com"))

    await client.post("/users/me/email", headers=headers, json={"new_email": address})
    export = (await client.get("/users/me/export", headers=headers)).json()

    assert export["account"]["pending_email"] == address
    assert [mail["subject"] for mail in export["related_records"]["mail_outbox"]] == [
        f"HawkAPI app: {NOTICES['email_change_requested'].heading}"
    ]


@pytest.mark.parametrize("address", ["taken@example.com", "free@example.com"])
async def test_an_email_change_request_writes_the_same_for_a_taken_address(
    client, make_user, login, statements, address
):
    """Checklist 13; ASVS 6.3.8."""
    await make_user("taken@example.com")
    headers = login(await make_user("ada@example.com"))
    statements.clear()

    await client.post("/users/me/email", headers=headers, json={"new_email": address})

    assert statements.count("UPDATE") == 1


async def test_a_database_error_logs_no_values(client, manager, make_user, login, caplog):
    """Checklist 39; ASVS 16.2.5."""
    headers = login(await make_user("ada@example.com"))

    async def fail(user):
        await session_of(user).execute(insert(UserSession).values(user_id="nobody", secret_hash="a secret"))

    manager.on_after_logout = fail

    answer = await client.post("/users/logout", headers=headers)

    assert answer.status_code == 500
    assert "IntegrityError" in caplog.text
    assert "[SQL parameters hidden" in caplog.text


def full_of_secrets(schema):
    """*schema* with a secret in each of its fields, including your own."""
    return schema(**dict.fromkeys(schema.__struct_fields__, "a secret"))


@pytest.mark.parametrize(
    "body",
    [
        full_of_secrets(schemas.Registration),
        full_of_secrets(schemas.Credentials),
        full_of_secrets(schemas.CookieLogin),
        full_of_secrets(schemas.TokenPair),
        full_of_secrets(schemas.LoggedIn),
        full_of_secrets(schemas.Refresh),
        full_of_secrets(schemas.Logout),
        full_of_secrets(schemas.PasswordConfirmation),
        full_of_secrets(schemas.PasswordChange),
        full_of_secrets(schemas.VerifyEmail),
        full_of_secrets(schemas.ChangeEmail),
        full_of_secrets(schemas.PasswordReset),
        full_of_secrets(schemas.AcceptInvitation),
        full_of_secrets(schemas.PasswordChanged),
        UserTokenConfig(secret="a secret of 32 characters and more"),
        User(email="ada@example.com", hashed_password="a secret"),
    ],
    ids=lambda body: type(body).__name__,
)
def test_no_repr_shows_a_password_or_a_token(body):
    """Checklist 39; ASVS 16.2.5: reprs end up in logs and in tracebacks that show values."""
    assert "a secret" not in repr(body)
    assert "a secret" not in str([body])


@pytest.mark.parametrize(
    "schema", [schemas.PublicUser, schemas.ManagedUser, schemas.LoggedIn, schemas.PasswordChanged]
)
def test_no_view_of_an_account_has_an_internal_field(schema):
    """Checklist 13; ASVS 15.3.1. You may show your own fields, but no secret or internal columns."""
    marked = {column.name for column in User.__table__.columns if column.info == SECRET}

    assert "hashed_password" in marked
    assert not {*marked, "password_version", "pending_email"} & set(schema.__struct_fields__)


async def test_the_export_does_not_reveal_an_administrators_address(client, make_user, login):
    user = await make_user("ada@example.com")
    admin = login(await make_user("root@example.com", is_superuser=True))
    await client.patch(f"/users/{user.id}", headers=admin, json={"is_verified": True})

    export = (await client.get("/users/me/export", headers=login(user))).json()

    assert [each["event"] for each in export["events"]] == ["export", "update"]
    assert [export["events"][1][name] for name in ("ip_address", "user_agent", "browser")] == ["", "", ""]


# Your own tests go below; template updates never touch them.
