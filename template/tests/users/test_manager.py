"""UserManager without HTTP. The tests are grouped by method, in the order of an account's lifecycle."""

import pytest
from sqlalchemy.exc import IntegrityError

from app.users import (
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    TokenError,
    User,
    UserAlreadyExists,
)

PASSWORD = "correct horse battery"
NEW = "a brand new password"


@pytest.fixture
def changed(manager, db):
    """`await changed(user, email=...)` calls `UserManager.update` in its own transaction."""

    async def update(user, **values):
        async with db.session() as session:
            return await manager.update(session, await manager.get_by_id(session, user.id), **values)

    return update


# get_by_email, get_by_id


@pytest.mark.parametrize("email", ["ada@example.com", " ADA@Example.com\n"])
async def test_an_account_is_found_by_its_address(manager, db, make_user, email):
    user = await make_user("ada@example.com")

    async with db.session() as session:
        assert (await manager.get_by_email(session, email)).id == user.id


@pytest.mark.parametrize("email", ["eve@example.com", "", "x", "%", "ada@example.co_"])
async def test_an_address_without_an_account_is_none(manager, db, make_user, email):
    await make_user("ada@example.com")

    async with db.session() as session:
        assert await manager.get_by_email(session, email) is None


async def test_an_account_is_found_by_its_id(manager, db, make_user):
    user = await make_user()

    async with db.session() as session:
        assert (await manager.get_by_id(session, user.id)).email == user.email
        assert await manager.get_by_id(session, "no such id") is None


# create


async def test_the_manager_can_set_every_flag(manager, db, accounts):
    async with db.session() as session:
        await manager.create(
            session,
            email="Ada@example.com",
            password=PASSWORD,
            is_active=False,
            is_verified=True,
            is_superuser=True,
            id="an id of your own",
        )

    (user,) = await accounts()
    assert (user.email, user.id) == ("ada@example.com", "an id of your own")
    assert (user.is_active, user.is_verified, user.is_superuser) == (False, True, True)


@pytest.mark.parametrize("mode", ["open", "private"])
async def test_registration_can_fill_custom_columns(manager, db, accounts, mode):
    manager.registration = mode
    async with db.session() as session:
        await manager.register(session, email="ada@example.com", password=PASSWORD, id="an id of your own")

    assert [user.id for user in await accounts()] == ["an id of your own"]


@pytest.mark.parametrize(
    ("mode", "setting", "expected"),
    [("open", False, False), ("open", True, True), ("closed", False, False), ("private", True, True)],
)
async def test_required_verification_is_a_setting(manager, mode, setting, expected):
    manager.registration, manager.login_requires_verification = mode, setting

    assert manager.must_verify == expected


async def test_private_registration_always_requires_verification(manager):
    manager.registration, manager.login_requires_verification = "private", False

    assert manager.must_verify


async def test_an_invitation_can_fill_custom_columns(manager, db, accounts):
    async with db.session() as session:
        _, token = await manager.invitations.make(session, "ada@example.com", invited_by="cli")
        await manager.accept_invitation(session, token=token, password=PASSWORD, id="an id of your own")

    assert [user.id for user in await accounts()] == ["an id of your own"]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"email": "ADA@example.com", "password": PASSWORD}, UserAlreadyExists),
        ({"email": "x", "password": PASSWORD}, InvalidEmail),
        ({"email": "eve@example.com", "password": "short"}, InvalidPassword),
    ],
)
async def test_an_account_that_cannot_be_created_gets_a_reason(
    manager, db, make_user, accounts, values, error
):
    await make_user("ada@example.com")

    async with db.session() as session:
        with pytest.raises(error):
            await manager.create(session, **values)

    assert len(await accounts()) == 1


async def test_a_conflict_in_another_unique_column_is_not_blamed_on_the_address(manager, db, make_user):
    """An ID collision is a bug and must not be reported as "this address is taken"."""
    user = await make_user("ada@example.com")

    async with db.session() as session:
        with pytest.raises(IntegrityError):
            await manager.create(session, email="eve@example.com", password=PASSWORD, id=user.id)


# authenticate


@pytest.mark.parametrize(
    ("email", "password", "error"),
    [
        ("ada@example.com", "another long password", InvalidCredentials),
        ("nobody@example.com", PASSWORD, InvalidCredentials),
        ("disabled@example.com", PASSWORD, InactiveUser),
        ("disabled@example.com", "another long password", InvalidCredentials),
    ],
)
async def test_refusals_have_distinct_exceptions(manager, db, make_user, email, password, error):
    await make_user("ada@example.com")
    await make_user("disabled@example.com", is_active=False)

    async with db.session() as session:
        with pytest.raises(error):
            await manager.authenticate(session, email=email, password=password)


async def test_the_connection_is_released_while_hashing(manager, db, make_user, monkeypatch):
    """No transaction stays open while a password is hashed."""
    await make_user("ada@example.com")
    seen = []

    async with db.session() as session:

        async def verify(password, hashed):
            seen.append(session.in_transaction())
            return True

        monkeypatch.setattr(manager.hasher, "verify", verify)
        await manager.authenticate(session, email="ada@example.com", password=PASSWORD)

    assert seen == [False]


@pytest.mark.parametrize("act", ["authenticate", "reset_password"])
async def test_the_callers_transaction_is_left_open(manager, db, make_user, accounts, act):
    """The caller's earlier writes are not committed implicitly."""
    user = await make_user("ada@example.com")
    arguments = {
        "authenticate": {"email": "ada@example.com", "password": PASSWORD},
        "reset_password": {"token": manager.reset_token(user), "new_password": NEW},
    }

    async with db.session(commit=False) as session:
        session.add(User(email="eve@example.com", hashed_password="x"))
        await session.flush()
        await getattr(manager, act)(session, **arguments[act])

    assert [each.email for each in await accounts()] == ["ada@example.com"]


# verify, reset_password


@pytest.mark.parametrize("method", ["verify", "reset_password"])
async def test_a_token_of_an_unknown_user_is_a_token_error(manager, db, method):
    token = {
        "verify": {"token": manager.tokens.issue_verify("nobody")},
        "reset_password": {"token": manager.tokens.issue_reset("nobody"), "new_password": NEW},
    }

    async with db.session() as session:
        with pytest.raises(TokenError):
            await getattr(manager, method)(session, **token[method])


async def test_the_returned_account_has_the_changes(manager, db, make_user):
    user = await make_user()

    async with db.session() as session:
        reset = await manager.reset_password(session, token=manager.reset_token(user), new_password=NEW)

    assert reset.password_version == 1
    assert reset.hashed_password != user.hashed_password


# delete


async def test_deleting_an_account_frees_its_address(manager, db, make_user):
    user = await make_user("ada@example.com")

    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, user.id))
    async with db.session() as session:
        again = await manager.create(session, email="ada@example.com", password=PASSWORD)

    assert again.id != user.id


async def test_a_password_replaced_during_hashing_does_not_log_in(manager, make_user, db, monkeypatch):
    user = await make_user("ada@example.com")
    verify = manager.hasher.verify

    async def replace_meanwhile(password, hashed):
        async with db.session() as other:
            await manager.update(
                other, await manager.get_by_id(other, user.id), password="another horse battery"
            )
        return await verify(password, hashed)

    monkeypatch.setattr(manager.hasher, "verify", replace_meanwhile)

    async with db.session() as session:
        with pytest.raises(InvalidCredentials):
            await manager.authenticate(session, email="ada@example.com", password="correct horse battery")


# Your own tests go below; template updates never touch them.
