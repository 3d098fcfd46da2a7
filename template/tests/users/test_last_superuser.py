"""There is no way to remove the last active superuser.

Otherwise, administration would require access to the server.
"""

from datetime import UTC, datetime, timedelta

import pytest

from app.users import LastSuperuser

DUE = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def root(make_user):
    return await make_user("root@example.com", is_superuser=True)


@pytest.fixture
async def boss(make_user):
    """A second superuser."""
    return await make_user("boss@example.com", is_superuser=True)


@pytest.fixture
def take(manager, db):
    """`await take("demoted", user)` removes a superuser's privileges through the manager."""

    async def run(how, user):
        async with db.session() as session:
            row = await manager.require(session, user.id)
            match how:
                case "demoted":
                    await manager.update(session, row, is_superuser=False)
                case "disabled":
                    await manager.update(session, row, is_active=False)
                case "both":
                    await manager.update(session, row, is_active=False, is_superuser=False)
                case "deleted":
                    await manager.delete(session, row)
                case "deleted by the owner":
                    await manager.request_delete(session, row)
                case "scheduled for deletion":
                    manager.deletion_grace = timedelta(days=7)
                    await manager.request_delete(session, row)

    return run


EACH_WAY = pytest.mark.parametrize(
    "how", ["demoted", "disabled", "both", "deleted", "deleted by the owner", "scheduled for deletion"]
)


@pytest.fixture
def superusers(accounts):
    """`await superusers()`: the addresses of superusers who are active and not scheduled for deletion."""

    async def read():
        return [
            user.email
            for user in await accounts()
            if user.is_superuser and user.is_active and user.delete_after is None
        ]

    return read


# Each way separately


@EACH_WAY
async def test_the_last_superuser_cannot_be_demoted(root, take, superusers, how):
    with pytest.raises(LastSuperuser, match="Make another account a superuser first"):
        await take(how, root)

    assert await superusers() == ["root@example.com"]


@EACH_WAY
async def test_one_of_two_superusers_can_be_demoted(root, boss, take, superusers, how):
    await take(how, root)

    assert await superusers() == ["boss@example.com"]


@EACH_WAY
async def test_demoting_an_ordinary_user_is_allowed(root, make_user, take, superusers, how):
    await take(how, await make_user("ada@example.com"))

    assert await superusers() == ["root@example.com"]


@pytest.mark.parametrize("how", ["demoted", "disabled", "deleted", "scheduled for deletion"])
@pytest.mark.parametrize(
    "columns", [{"is_active": False}, {"delete_after": DUE}, {"is_superuser": False}], ids=str
)
async def test_a_disabled_superuser_does_not_count(root, make_user, take, superusers, how, columns):
    await make_user("boss@example.com", **{"is_superuser": True} | columns)

    with pytest.raises(LastSuperuser):
        await take(how, root)

    assert await superusers() == ["root@example.com"]


# Over HTTP


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/users/{id}", {"is_superuser": False}),
        ("PATCH", "/users/{id}", {"is_active": False}),
        ("PATCH", "/users/{id}", {"is_active": False, "is_superuser": False, "is_verified": True}),
        ("PATCH", "/users/{id}", {"is_active": True, "is_superuser": False}),
        ("DELETE", "/users/{id}", None),
        ("DELETE", "/users/me", None),
    ],
    ids=str,
)
@pytest.mark.parametrize("grace", [0, 7])
async def test_a_request_to_demote_the_last_superuser_is_refused(
    other_client, root, login, stored, events, outbox, method, path, body, grace
):
    client, headers = await other_client(deletion_grace_days=grace), login(root)

    answer = await client.request(method, path.format(id=root.id), json=body, headers=headers)

    now = await stored(root)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert (now.is_superuser, now.is_active, now.is_verified) == (True, True, False)
    assert (now.delete_after, now.password_version) == (None, 0)
    assert (await client.get("/users", headers=headers)).status_code == 200
    assert (await events(), await outbox()) == ([], [])


async def test_other_fields_of_the_last_superuser_can_be_changed(client, root, login, stored):
    flags = {"is_active": True, "is_superuser": True, "is_verified": True}

    answer = await client.patch(f"/users/{root.id}", json=flags, headers=login(root))

    assert answer.status_code == 200
    assert (await stored(root)).is_verified


# Your own tests go below; template updates never touch them.
