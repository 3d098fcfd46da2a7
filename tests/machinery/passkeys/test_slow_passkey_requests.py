"""A session that ends while the body of its request arrives must not add a passkey."""

from tests.totp.test_slow_totp_requests import reset as reset
from tests.users.test_security_slow_requests import slowly as slowly


async def test_an_ended_session_cannot_add_a_passkey(client, make_user, login, slowly, reset, phone, db):
    """Checklist 31: the thief could log in with it."""
    user = await make_user(is_verified=True)
    headers = login(user)
    options = (await client.post("/users/me/passkeys/options", headers=headers)).json()
    body = {"credential": phone.create(options)}

    status = await slowly("POST", "/users/me/passkeys", headers, body, lambda: reset(user))

    assert status == 401
    token = await client.post("/users/login", json={"email": user.email, "password": "quiet harbour stone"})
    assert token.status_code == 200


async def test_a_cookie_that_this_application_did_not_set_is_ignored(client):
    for value in (".a,b", '."', ".\u00e9", ".a b", "x" * 100):
        cookie = {"Cookie": f"__Host-passkey={value}".encode("latin-1")}

        assert (await client.post("/users/login/passkey/options", headers=cookie)).status_code == 200
