"""The example module handles a session that ends while the body of its request arrives."""

import pytest

from tests.users.test_security_slow_requests import slowly as slowly


@pytest.mark.parametrize("path", ["/users/logout", "/users/me"], ids=["logged out", "deleted"])
async def test_an_ended_session_writes_nothing(client, make_user, login, slowly, path):
    headers = login(await make_user(is_verified=True))
    method = "POST" if path.endswith("logout") else "DELETE"

    async def end():
        assert (await client.request(method, path, headers=headers)).status_code == 204

    status = await slowly("POST", "/notes", headers, {"title": "Mine", "text": ""}, end)

    assert status == 401
