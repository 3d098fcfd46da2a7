"""State shared by requests must not mix users up. Advisory 38 (CVE-2026-40155)."""

import asyncio

import pytest
from sqlalchemy import insert

from app.users import User, tokens

PEOPLE = 200


@pytest.fixture
async def app(app, build_app):
    """An application with long timeouts: on a busy machine, the last of 200 requests waits for minutes."""
    return build_app(request_timeout=3600, database_timeout=3600)


@pytest.fixture
def crowd(db, manager, password_hash):
    """`await crowd()`: id and headers of 200 users, half with a cookie, half with a token."""

    def headers_of(issued):
        if issued.session.kind == "cookie":
            return {"Cookie": f"__Host-session={issued.token}", "Sec-Fetch-Site": "same-origin"}
        token = manager.tokens.issue_access(issued.user.id, session_id=issued.session.id)
        return {"Authorization": f"Bearer {token}"}

    async def gather():
        people = [User(id=f"person-{number}") for number in range(PEOPLE)]
        rows = [
            {"id": each.id, "email": f"{each.id}@example.com", "hashed_password": password_hash}
            for each in people
        ]
        async with db.session() as session:
            await session.execute(insert(User), rows)
        async with db.session() as session:
            found = [await session.get_one(User, each.id) for each in people]
            issued = [
                await manager.sessions.issue(session, user, kind=kind)
                for user, kind in zip(found, ["bearer", "cookie"] * (PEOPLE // 2), strict=True)
            ]
        return [(each.user.id, headers_of(each)) for each in issued]

    return gather


@pytest.mark.parametrize("remembered", [4096, 20], ids=["with room for all", "with room for some"])
async def test_concurrent_users_see_their_own_data(client, crowd, manager, monkeypatch, remembered):
    """Checklist 22. Advisory 38: nobody gets another user's data, on the first request or from a cache."""
    monkeypatch.setattr(tokens, "MAX_KNOWN", remembered)
    manager.tokens._known.clear()
    people = await crowd()

    async def who_am_i(headers):
        me = await client.get("/users/me", headers=headers)
        sessions = await client.get("/users/me/sessions", headers=headers)
        return me.json()["id"], len(sessions.json())

    first = await asyncio.gather(*(who_am_i(headers) for _, headers in people))
    again = await asyncio.gather(*(who_am_i(headers) for _, headers in reversed(people)))

    expected = [(user_id, 1) for user_id, _ in people]
    assert first == expected
    assert again[::-1] == expected


async def test_concurrent_users_change_their_own_data(client, crowd, events):
    """Checklist 22. Advisory 38 also applies to writes."""
    people = await crowd()

    answers = await asyncio.gather(*(client.post("/users/logout", headers=headers) for _, headers in people))

    assert {answer.status_code for answer in answers} == {204}
    assert sorted(event.user_id for event in await events()) == sorted(user_id for user_id, _ in people)
    assert all(event.user_id == event.actor for event in await events())
