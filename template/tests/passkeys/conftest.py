"""Fixtures for the passkey tests: a software authenticator, and an account with a passkey."""

from dataclasses import dataclass

import httpx
import pytest

from app.users import User
from tests.conftest import Login, MakeUser
from tests.passkeys.authenticator import Authenticator, Json
from tests.second_factors.conftest import Person
from tests.second_factors.conftest import headings as headings
from tests.second_factors.conftest import make_person as make_person
from tests.second_factors.conftest import person as person
from tests.second_factors.conftest import wait as wait


@pytest.fixture
def phone() -> Authenticator:
    """An authenticator that verifies its user, such as a phone."""
    return Authenticator()


@dataclass
class Owner:
    """An account with a passkey."""

    user: User
    passkey: Json
    """The passkey, as the route returns it."""
    headers: dict[str, str]
    """The request headers of the session that added the passkey."""


async def add_passkey(
    client: httpx.AsyncClient, headers: dict[str, str], authenticator: Authenticator, **body: object
) -> httpx.Response:
    """The response to adding a passkey from *authenticator* to the account that *headers* authenticate."""
    options = await client.post("/users/me/passkeys/options", headers=headers)
    assert options.status_code == 200, options.text
    body = {"credential": authenticator.create(options.json())} | body
    return await client.post("/users/me/passkeys", json=body, headers=headers)


@pytest.fixture
def make_owner(client: httpx.AsyncClient, make_user: MakeUser, login: Login):
    """`await make_owner(phone)`: an account whose passkey is on *phone*."""

    async def make(authenticator: Authenticator, email: str = "ada@example.com", **columns: object) -> Owner:
        user = await make_user(email, **({"is_verified": True} | columns))
        headers = login(user)
        added = await add_passkey(client, headers, authenticator)
        assert added.status_code == 201, added.text
        return Owner(user, added.json(), headers)

    return make


@pytest.fixture
async def owner(make_owner, phone: Authenticator) -> Owner:
    return await make_owner(phone)


async def begin(person: Person) -> Json:
    """The options for a login without a password."""
    return (await person.client.post("/users/login/passkey/options")).json()


async def log_in(person: Person, credential: Json, kind: str = "", **body: object) -> httpx.Response:
    """The response to a login without a password. *kind* is `/cookie`, or empty for a bearer session."""
    return await person.client.post(f"/users/login/passkey{kind}", json={"credential": credential} | body)


async def ask(person: Person, ticket: str) -> Json:
    """The options for using a passkey as the second factor of the login that *ticket* belongs to."""
    asked = await person.client.post("/users/login/second-factor/passkey/options", json={"ticket": ticket})
    assert asked.status_code == 200, asked.text
    return asked.json()


# Your own fixtures go below; template updates never touch them.
