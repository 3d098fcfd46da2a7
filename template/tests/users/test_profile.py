"""The profile: owners can change the language and the columns that you have added, and nothing else."""

import msgspec
import pytest

from app.users.models import TEMPLATE_COLUMNS, User
from app.users.schemas import ProfileUpdate


async def test_nothing_changes_without_fields(client, make_user, login, events):
    user = await make_user("ada@example.com")

    answer = await client.patch("/users/me", json={}, headers=login(user))

    assert answer.status_code == 200
    assert answer.json()["email"] == "ada@example.com"
    assert await events() == []


async def test_other_fields_are_ignored(client, make_user, login, stored):
    """Checklist 38 (CWE-915)."""
    user = await make_user("ada@example.com")
    before = {name: getattr(user, name) for name in TEMPLATE_COLUMNS}
    body = {"is_superuser": True, "is_verified": True, "id": "1", "email": "eve@example.com", "password": "x"}

    answer = await client.patch("/users/me", json=body, headers=login(user))

    now = await stored(user)
    assert answer.status_code == 200
    assert {name: getattr(now, name) for name in TEMPLATE_COLUMNS} == before


def test_profile_fields_do_not_overlap_the_template():
    """Checklist 38: `ProfileUpdate` is for the language and your own columns."""
    fields = set(ProfileUpdate.__struct_fields__)

    assert fields & TEMPLATE_COLUMNS == set()
    assert fields <= set(User.__mapper__.columns.keys())


def test_an_omitted_profile_field_is_unset():
    """Any other default would overwrite the column whenever a request omits the field."""
    assert set(ProfileUpdate.__struct_defaults__) == {msgspec.UNSET}


@pytest.mark.parametrize("column", sorted(TEMPLATE_COLUMNS))
async def test_the_manager_refuses_to_update_template_columns(manager, make_user, db, column):
    """Checklist 38: the manager refuses the update even if you add a template column to `ProfileUpdate`."""
    user = await make_user("ada@example.com")

    async with db.session() as session:
        with pytest.raises(ValueError, match=column):
            await manager.update_profile(session, user, **{column: True})


async def test_the_profile_requires_a_login(client):
    assert (await client.patch("/users/me", json={})).status_code == 401


# Your own tests go below; template updates never touch them.
