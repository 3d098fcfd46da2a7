"""Values that superusers send and no page ever gave them."""

import base64

import pytest


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "today", ""])
async def test_a_cursor_with_an_impossible_time_is_refused(client, make_user, login, moment):
    headers = login(await make_user(is_superuser=True))
    cursor = base64.urlsafe_b64encode(f"{moment} id".encode()).decode()

    answer = await client.get("/users", headers=headers, params={"cursor": cursor})

    assert answer.status_code == 400
