"""POST /users/logout with a refresh token, for a client whose access token has expired."""


async def test_a_refresh_token_that_was_just_replaced_logs_out_all_the_same(client, make_user, begin_session):
    """The answer of the refresh was lost; whoever logs out must be logged out. Checklist 19."""
    old = {"refresh_token": (await begin_session(await make_user())).token}
    new = (await client.post("/users/token/refresh", json=old)).json()

    await client.post("/users/logout", json=old)

    headers = {"Authorization": f"Bearer {new['access_token']}"}
    assert (await client.get("/users/me", headers=headers)).status_code == 401


async def test_a_cookie_is_no_refresh_token(client, make_user, begin_session):
    cookie = (await begin_session(await make_user(), kind="cookie")).token

    await client.post("/users/logout", json={"refresh_token": cookie})

    headers = {"Cookie": f"__Host-session={cookie}"}
    assert (await client.get("/users/me", headers=headers)).status_code == 200
