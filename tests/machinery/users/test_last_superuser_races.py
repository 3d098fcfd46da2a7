"""Superusers who demote each other concurrently: one remains a superuser (CWE-367)."""

import asyncio
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
    """`await take("demoted", user)`: remove a superuser's rights through the manager."""

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


@pytest.mark.parametrize("columns", [{"is_active": False}, {"delete_after": DUE}], ids=str)
@pytest.mark.parametrize("how", ["demoted", "disabled", "deleted"])
async def test_a_disabled_superuser_can_be_demoted(root, make_user, take, superusers, how, columns):
    await take(how, await make_user("boss@example.com", is_superuser=True, **columns))

    assert await superusers() == ["root@example.com"]


async def test_an_unverified_superuser_counts(root, make_user, take, superusers):
    await make_user("boss@example.com", is_superuser=True, is_verified=False)

    await take("demoted", root)

    assert await superusers() == ["boss@example.com"]


# Two superusers who demote each other concurrently

TAKING = pytest.mark.parametrize(
    ("method", "path", "body", "done"),
    [
        ("PATCH", "/users/{id}", {"is_superuser": False}, 200),
        ("PATCH", "/users/{id}", {"is_active": False}, 200),
        ("DELETE", "/users/{id}", None, 204),
    ],
    ids=["demote", "disable", "delete"],
)


@TAKING
@pytest.mark.parametrize("attempt", range(4))
async def test_only_one_of_two_mutual_demotions_succeeds(
    client, root, boss, login, superusers, method, path, body, done, attempt
):
    """CWE-367. The slower request gets a 409, or its sender is rejected as no longer an administrator."""
    heads, tails = login(root), login(boss)

    answers = await asyncio.gather(
        client.request(method, path.format(id=boss.id), json=body, headers=heads),
        client.request(method, path.format(id=root.id), json=body, headers=tails),
    )

    first, second = sorted(answer.status_code for answer in answers)
    assert first == done
    assert second in (401, 403, 409)
    assert len(await superusers()) == 1


@pytest.mark.parametrize("grace", [0, 7])
@pytest.mark.parametrize("attempt", range(3))
async def test_one_of_two_leaving_superusers_stays(
    other_client, root, boss, login, superusers, grace, attempt
):
    """CWE-367."""
    client, heads, tails = await other_client(deletion_grace_days=grace), login(root), login(boss)

    answers = await asyncio.gather(
        client.delete("/users/me", headers=heads), client.delete("/users/me", headers=tails)
    )

    assert sorted(answer.status_code for answer in answers) == [204, 409]
    assert len(await superusers()) == 1


@pytest.mark.parametrize("attempt", range(3))
async def test_one_superuser_is_left_after_concurrent_changes(
    client, make_user, root, boss, login, superusers, attempt
):
    """CWE-367."""
    third = await make_user("third@example.com", is_superuser=True)
    by_root, by_boss, by_third = login(root), login(boss), login(third)

    await asyncio.gather(
        client.patch(f"/users/{boss.id}", json={"is_active": False}, headers=by_root),
        client.patch(f"/users/{third.id}", json={"is_superuser": False}, headers=by_boss),
        client.delete(f"/users/{root.id}", headers=by_third),
        client.delete("/users/me", headers=by_root),
        client.delete("/users/me", headers=by_boss),
        client.delete("/users/me", headers=by_third),
    )

    assert len(await superusers()) == 1


async def test_stale_reads_do_not_decide(manager, db, root, boss, take, superusers):
    """A race in slow motion: both accounts are read as superusers before one of them is demoted."""
    async with db.session() as session:
        stale, _ = await manager.require(session, root.id), await manager.require(session, boss.id)
        await session.commit()
        await take("demoted", boss)

        with pytest.raises(LastSuperuser):
            await manager.update(session, stale, is_active=False)

    assert await superusers() == ["root@example.com"]
