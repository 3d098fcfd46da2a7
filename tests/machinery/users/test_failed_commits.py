"""If the commit at the end of a request fails, the browser keeps its cookies: nothing was saved."""

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from tests.conftest import PASSWORD

LOGIN = {"email": "ada@example.com", "password": PASSWORD}
NEW = {"current_password": PASSWORD, "new_password": "a much better password"}


@pytest.fixture
def the_commit_fails(monkeypatch):
    """`the_commit_fails()`: requests can no longer commit. Commits within a method still work."""
    commit = database._commit

    async def lose_connection(db):
        raise OperationalError("COMMIT", {}, Exception("the connection was lost"))

    async def fail(request, db):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(AsyncSession, "commit", lose_connection)
            await commit(request, db)

    return lambda: monkeypatch.setattr(database, "_commit", fail)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/users/logout", {}), ("/users/me/password", NEW), ("/users/login/cookie", LOGIN)],
    ids=["logout", "password", "login"],
)
async def test_the_browser_keeps_its_cookies(client, make_user, visit, the_commit_fails, path, body):
    headers = (await visit(await make_user(), "cookie")).headers
    the_commit_fails()

    failed = await client.post(path, json=body, headers=headers)

    assert failed.status_code == 503
    assert failed.headers.get_list("set-cookie") == []
    assert (await client.get("/users/me", headers=headers)).status_code == 200
