"""Logging in while the browser is logged in to another account."""

from sqlalchemy import select

from app.database import act_as
from app.users.audit import AuditEvent
from tests.conftest import PASSWORD


async def test_a_login_is_not_the_act_of_the_other_account(browser, make_user, db):
    """Otherwise, the owner's export would hide the IP address and the browser of the login."""
    ada, bob = await make_user("ada@example.com"), await make_user("bob@example.com")

    await browser.post("/login", data={"email": ada.email, "password": PASSWORD})
    await browser.post("/login", data={"email": bob.email, "password": "a wrong password"})
    await browser.post("/login", data={"email": bob.email, "password": PASSWORD})

    async with db.session(commit=False) as session:
        events = await session.scalars(select(AuditEvent).order_by(AuditEvent.id))
    assert [(each.event, each.outcome, each.user_id, each.actor) for each in events] == [
        ("login", "success", ada.id, ada.id),
        ("login", "failure", bob.id, ""),
        ("login", "success", bob.id, bob.id),
    ]


async def test_a_login_without_a_password_is_not_the_act_of_the_other_account(manager, make_user, db):
    ada, bob = await make_user("ada@example.com"), await make_user("bob@example.com")

    async with db.session() as session:
        act_as(session, ada.id, "cookie")
        user = await manager.require(session, bob.id)
        await manager.log_in_without_password(
            session, user, method="email", includes_factor=False, kind="cookie", remember=True
        )

    async with db.session(commit=False) as session:
        assert await session.scalar(select(AuditEvent.actor)) == bob.id
