"""Nobody's mailbox is flooded, and a limit on mails does not tell who has an account.

Checklist 12; ASVS 2.4.1.
"""

import httpx
import pytest

from app.limits import Rate
from app.users.limits import LIMITS

pytestmark = pytest.mark.usefixtures("quick_hashing")

EMAIL = "ada@example.com"
PER_MAILBOX = Rate.parse(LIMITS["request_password_reset"].account).count
PER_ADDRESS = Rate.parse(LIMITS["request_password_reset"].address).count
ASKING = pytest.mark.parametrize("path", ["/users/verify/request", "/users/password-reset/request"])


@pytest.fixture
def ask(app):
    """`await ask(path, email, "198.51.100.7")`: somebody at that address asks for a mail to *email*."""

    async def send(path, email=EMAIL, address="198.51.100.7", **more):
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, json={"email": email} | more)

    return send


def visible(answer):
    """All that a client sees of an answer; the id of each request is another."""
    return answer.status_code, answer.content, dict(answer.headers) | {"x-request-id": ""}


@ASKING
async def test_a_mailbox_gets_no_more_than_so_many(ask, make_user, outbox, path):
    """Checklist 12: whoever asks, from wherever."""
    await make_user(EMAIL)

    for number in range(PER_MAILBOX + 3):
        await ask(path, address=f"198.51.100.{number}")

    assert len(await outbox()) == PER_MAILBOX


@ASKING
async def test_the_answer_is_the_same_when_no_mail_goes_out(ask, make_user, outbox_rows, path):
    """Checklist 12 and 13: the same answer for the same work."""
    await make_user(EMAIL)

    answers = [await ask(path) for _ in range(PER_MAILBOX + 1)]

    assert visible(answers[-1]) == visible(answers[0])
    assert await outbox_rows() == PER_MAILBOX + 1


@ASKING
async def test_an_unknown_mailbox_is_answered_alike(ask, make_user, path):
    """Checklist 12 and 13."""
    await make_user(EMAIL)

    known = [visible(await ask(path)) for _ in range(PER_MAILBOX + 1)]
    unknown = [visible(await ask(path, "nobody@example.com", "192.0.2.1")) for _ in range(PER_MAILBOX + 1)]

    assert known == unknown


@ASKING
async def test_an_address_that_asks_for_everybody_is_refused(ask, path):
    """Checklist 12: known and unknown alike, and before the body is read."""
    answers = [await ask(path, f"user{number}@example.com") for number in range(PER_ADDRESS + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {202}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "Try again in" in answers[-1].json()["detail"]


async def test_nobody_keeps_an_administrator_from_sending_a_reset(ask, admin, make_user, outbox):
    """Checklist 12 and 23."""
    user = await make_user(EMAIL)
    for _ in range(PER_MAILBOX):
        await ask("/users/password-reset/request")

    answer = await admin.post(f"/users/{user.id}/password-reset")

    assert answer.status_code == 202
    assert len(await outbox()) == PER_MAILBOX + 1


async def test_an_owner_who_asks_for_ever_other_addresses_is_refused(client, make_user, login):
    """Checklist 12: each of them gets a mail."""
    headers = login(await make_user())
    most = Rate.parse(LIMITS["request_email_change"].account).count

    answers = [
        await client.post("/users/me/email", json={"new_email": f"new{number}@example.com"}, headers=headers)
        for number in range(most + 1)
    ]

    assert [answer.status_code for answer in answers] == [202] * most + [429]
