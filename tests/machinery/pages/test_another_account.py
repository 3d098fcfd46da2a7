"""Acting on one account while the browser is logged in to another one.

The other account is not the actor. Otherwise, the owner's pages would say that an administrator did it, and
their export would hide the IP address and the browser and contain the id of the other account.
"""

import pytest
from sqlalchemy import select

from app.database import act_as
from app.users.audit import AuditEvent
from tests.conftest import PASSWORD
from tests.passkey_pages.conftest import respond
from tests.passkeys.authenticator import VERIFIED
from tests.passkeys.conftest import make_owner as make_owner_of_passkey
from tests.passkeys.conftest import phone as phone
from tests.totp.conftest import make_owner as make_owner_of_app
from tests.totp.conftest import wait as wait
from tests.users.conftest import change as change

_FIXTURES = make_owner_of_passkey, make_owner_of_app
ADA, NEW = "ada@example.com", "new@example.com"
WRONG = "not the right password"


@pytest.fixture
async def bobs(make_user, log_in):
    """A browser that is logged in as Bob."""
    return await log_in(await make_user("bob@example.com", is_verified=True))


@pytest.fixture
def events_of(db):
    """`await events_of(ada)`: the account's events with their actors, oldest first."""

    async def read(user):
        query = select(AuditEvent).where(AuditEvent.user_id == user.id).order_by(AuditEvent.id)
        async with db.session(commit=False) as session:
            return [(each.event, each.outcome, each.actor) for each in await session.scalars(query)]

    return read


async def test_a_login(bobs, make_user, events_of):
    ada = await make_user(ADA)

    await bobs.post("/login", data={"email": ADA, "password": WRONG})
    await bobs.post("/login", data={"email": ADA, "password": PASSWORD})

    assert await events_of(ada) == [("login", "failure", ""), ("login", "success", ada.id)]


async def test_a_login_without_a_password(manager, make_user, db, events_of):
    ada, bob = await make_user(ADA), await make_user("bob@example.com")

    async with db.session() as session:
        act_as(session, bob.id, "cookie")
        user = await manager.require(session, ada.id)
        await manager.log_in_without_password(
            session, user, method="email", includes_factor=False, kind="cookie", remember=True
        )

    assert await events_of(ada) == [("login", "success", ada.id)]


async def test_a_wrong_mailed_code(bobs, make_user, events_of):
    ada = await make_user(ADA, is_verified=True)

    await bobs.post("/login/email", data={"email": ADA})
    await bobs.post("/login/email/code", data={"code": "BBBB-BBBB"})

    assert await events_of(ada) == [("login_code_request", "success", ""), ("login", "failure", "")]


@pytest.mark.parametrize("field", ["code", "recovery_code"])
async def test_a_wrong_second_factor(bobs, make_owner_of_app, events_of, field):
    ada = (await make_owner_of_app(ADA)).user

    await bobs.post("/login", data={"email": ADA, "password": PASSWORD})
    await bobs.post("/login/second-factor", data={field: "000000"})

    assert (await events_of(ada))[-2:] == [
        ("second_factor_request", "success", ""),
        ("second_factor", "failure", ""),
    ]


async def test_a_wrong_passkey(bobs, browser, make_owner_of_passkey, phone, events_of):
    ada = (await make_owner_of_passkey(phone, ADA)).user
    phone.flags &= ~VERIFIED

    await respond(bobs, await browser.get("/login"), phone)

    assert (await events_of(ada))[-1] == ("login", "failure", "")


@pytest.mark.parametrize("mode", ["open", "private"])
async def test_a_registration(bobs, manager, db, events_of, mode):
    manager.registration = mode

    await bobs.post("/register", data={"email": ADA, "password": "a password of Ada"})

    async with db.session(commit=False) as session:
        ada = await manager.get_by_email(session, ADA)
    assert await events_of(ada) == [("register", "success", ada.id)]


async def test_a_registration_of_a_taken_address(bobs, manager, make_user, events_of):
    manager.registration = "private"
    ada = await make_user(ADA, is_verified=True)

    await bobs.post("/register", data={"email": ADA, "password": "a password of Bob"})

    assert await events_of(ada) == [("register", "failure", "")]


@pytest.mark.parametrize(
    ("path", "event"), [("/verify", "verify_request"), ("/forgot", "password_reset_request")]
)
async def test_a_request_for_a_link(bobs, make_user, events_of, path, event):
    ada = await make_user(ADA)

    await bobs.post(path, data={"email": ADA})

    assert await events_of(ada) == [(event, "success", "")]


@pytest.mark.parametrize("event", ["verify", "email_change"])
async def test_a_link_with_the_password(bobs, manager, make_user, change, events_of, event):
    ada = await make_user(ADA)
    await change(ada, pending_email=NEW)
    token = {"verify": manager.verify_token(ada), "email_change": manager.email_change_token(ada, NEW)}[event]
    path = f"/users/{event.replace('_', '-')}/{token}"

    await bobs.post(path, data={"password": WRONG})
    await bobs.post(path, data={"password": PASSWORD})

    assert await events_of(ada) == [(event, "failure", ""), (event, "success", ada.id)]
