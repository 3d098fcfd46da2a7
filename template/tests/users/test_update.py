"""UserManager.update: what changes, and which tokens it invalidates."""

import pytest

from app.users import InvalidEmail, InvalidPassword, UserAlreadyExists
from app.users.models import TEMPLATE_COLUMNS


@pytest.fixture
def update(manager, db):
    """`await update(user, email=...)` calls `UserManager.update` in its own transaction."""

    async def run(user, **values):
        async with db.session() as session:
            return await manager.update(session, await manager.get_by_id(session, user.id), **values)

    return run


async def test_a_new_address_is_unverified_and_invalidates_tokens(make_user, stored, update):
    user = await make_user("ada@example.com", is_verified=True)

    await update(user, email=" Countess@Example.com")

    now = await stored(user)
    assert (now.email, now.is_verified, now.password_version) == ("countess@example.com", False, 1)


async def test_a_new_address_may_be_declared_verified(make_user, stored, update):
    user = await make_user("ada@example.com")

    await update(user, email="countess@example.com", is_verified=True)

    assert (await stored(user)).is_verified


async def test_the_same_address_in_another_spelling_changes_nothing(make_user, stored, update):
    user = await make_user("ada@example.com", is_verified=True)

    await update(user, email="ADA@example.com")

    now = await stored(user)
    assert (now.is_verified, now.password_version) == (True, 0)


async def test_a_new_password_invalidates_tokens(make_user, stored, update, client):
    user = await make_user("ada@example.com")

    await update(user, password="a brand new password")

    credentials = {"email": "ada@example.com", "password": "a brand new password"}
    assert (await stored(user)).password_version == 1
    assert (await client.post("/users/login", json=credentials)).status_code == 200


@pytest.mark.parametrize("flag", ["is_active", "is_verified", "is_superuser"])
@pytest.mark.parametrize("value", [True, False])
async def test_setting_a_flag_changes_nothing_else(make_user, stored, update, flag, value):
    await make_user("root@example.com", is_superuser=True)
    user = await make_user(**{flag: not value})

    await update(user, **{flag: value})

    assert getattr(await stored(user), flag) is value


async def test_an_empty_update_changes_nothing(make_user, stored, update):
    user = await make_user(is_verified=True, is_superuser=True)

    await update(user)

    now = await stored(user)
    assert (now.email, now.hashed_password, now.password_version) == (user.email, user.hashed_password, 0)
    assert (now.is_active, now.is_verified, now.is_superuser) == (True, True, True)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"email": "EVE@example.com"}, UserAlreadyExists),
        ({"email": "x"}, InvalidEmail),
        ({"email": ""}, InvalidEmail),
        ({"password": "short"}, InvalidPassword),
        ({"email": "new@example.com", "password": "short"}, InvalidPassword),
    ],
)
async def test_an_invalid_update_changes_nothing(make_user, stored, update, values, error):
    """A taken address raises UserAlreadyExists, not a database error."""
    await make_user("eve@example.com")
    user = await make_user("ada@example.com", is_verified=True)

    with pytest.raises(error):
        await update(user, is_superuser=True, **values)

    now = await stored(user)
    assert (now.email, now.is_verified, now.is_superuser) == ("ada@example.com", True, False)
    assert (now.hashed_password, now.password_version) == (user.hashed_password, 0)


async def test_your_own_columns_are_changed(manager, make_user, stored, update, events):
    """The language stands in for a column of your own. None is stored like any other value."""
    changes = []

    async def note(user, changed):
        changes.append(changed)

    manager.on_after_update = note
    user = await make_user(language="de")

    await update(user, own={"language": None})
    await update(user, own={"language": None})

    now = await stored(user)
    assert (now.language, now.password_version) == (None, 0)
    assert changes == [{"language"}]
    assert [(each.event, each.details) for each in await events()] == [("update", '{"changed":["language"]}')]


@pytest.mark.parametrize("name", [*sorted(TEMPLATE_COLUMNS), "password"])
async def test_nothing_but_your_own_columns_is_changed_by_name(make_user, update, name):
    """Checklist 38 (CWE-915): other names are refused, whatever their value."""
    user = await make_user()

    with pytest.raises(ValueError, match=name):
        await update(user, own={name: getattr(user, name, "x")})


async def test_the_index_catches_a_concurrently_taken_address(
    manager, make_user, stored, update, monkeypatch
):
    """The earlier lookup cannot see a row that another transaction is adding."""
    await make_user("eve@example.com")
    user = await make_user("ada@example.com")

    async def sees_nobody(session, email):
        return None

    monkeypatch.setattr(manager, "get_by_email", sees_nobody)

    with pytest.raises(UserAlreadyExists):
        await update(user, email="eve@example.com")

    assert (await stored(user)).email == "ada@example.com"


async def test_both_of_two_concurrent_changes_invalidate_tokens(manager, db, make_user, stored):
    """If one update of password_version were lost, a token created between the two changes would stay
    valid."""
    user = await make_user()
    async with db.session() as session:
        early = await manager.get_by_id(session, user.id)
        await session.commit()
        async with db.session() as other:
            late = await manager.get_by_id(other, user.id)
            await manager.update(other, late, password="the first new password")
        await manager.update(session, early, password="the second new password")

    assert (await stored(user)).password_version == 2
    assert early.password_version == 2


async def test_revoking_the_verification_invalidates_tokens(make_user, stored, update):
    user = await make_user(is_verified=True)

    await update(user, is_verified=False)

    assert (await stored(user)).password_version == 1


# Your own tests go below; template updates never touch them.
