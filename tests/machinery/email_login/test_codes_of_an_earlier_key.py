"""A code that was e-mailed before SECRET_KEY changed."""

from hashlib import sha256

import pytest

from tests.users.conftest import other_app as other_app
from tests.users.conftest import other_client as other_client

OLD, NEW = (sha256(each).hexdigest() for each in (b"the secret of the tests", b"a new secret"))


@pytest.mark.parametrize(("fallbacks", "status"), [(OLD, 200), ("", 401)], ids=["kept", "gone"])
async def test_a_code_works_while_the_earlier_key_is_kept(ada, person, other_client, fallbacks, status):
    path = f"/users/login/email/{await person.ask()}"
    client = await other_client(secret_key=NEW, secret_key_fallbacks=fallbacks)
    client.headers["User-Agent"] = person.client.headers["User-Agent"]

    answer = await client.post(path, json={"code": await person.code()})

    assert answer.status_code == status


async def test_a_wrong_code_is_still_refused(ada, person, other_client):
    path = f"/users/login/email/{await person.ask()}"
    client = await other_client(secret_key=NEW, secret_key_fallbacks=OLD)
    client.headers["User-Agent"] = person.client.headers["User-Agent"]

    answer = await client.post(path, json={"code": "BBBB-BBBB"})

    assert answer.status_code == 401
