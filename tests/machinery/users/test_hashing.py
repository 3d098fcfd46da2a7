"""Hashing: Argon2id in threads, without blocking the event loop or making callers wait forever."""

import asyncio
import threading

import pytest
from hawkapi_auth import needs_rehash

from app.users import HashingBusy, PasswordHasher
from app.users.passwords import hashing
from app.users.passwords.hashing import DUMMY_HASH

pytestmark = pytest.mark.usefixtures("real_hashing")

ADA = {"email": "ada@example.com"}


@pytest.fixture
def hasher():
    hasher = PasswordHasher(threads=1, queue=1)
    yield hasher
    hasher.close()


class Held:
    """Hashing that blocks until `release()`."""

    def __init__(self):
        self._begun, self._released = threading.Event(), threading.Event()

    def hash(self, password):
        self._begun.set()
        self._released.wait(10)
        return "a hash"

    async def begun(self):
        """Wait until a thread has started on a password."""
        await asyncio.to_thread(self._begun.wait, 10)

    def release(self):
        self._released.set()


@pytest.fixture
def held(monkeypatch):
    held = Held()
    monkeypatch.setattr(hashing, "hash_password", held.hash)
    yield held
    held.release()


# The hash


async def test_a_hash_is_argon2id_with_the_parameters_in_use(hasher):
    """ASVS 11.4.2."""
    hashed = await hasher.hash("correct horse battery")

    assert hashed.startswith("$argon2id$")
    assert not hasher.is_outdated(hashed)
    assert await hasher.verify("correct horse battery", hashed)
    assert not await hasher.verify("correct horse batterx", hashed)


def test_the_dummy_hash_costs_as_much_as_a_real_one():
    assert not needs_rehash(DUMMY_HASH)


async def test_a_missing_user_has_no_password(hasher, monkeypatch):
    """Verification fails even if the password matches the dummy hash."""
    monkeypatch.setattr(hashing, "verify_password", lambda password, hashed: True)

    assert not await hasher.verify("anything", None)


# Hashing does not block other requests


async def test_the_event_loop_runs_while_a_password_is_hashed(hasher):
    turns = 0
    hashing = asyncio.create_task(hasher.hash("correct horse battery"))
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 20


async def test_other_requests_are_served_while_a_password_is_hashed(client, held):
    registering = asyncio.create_task(
        client.post("/users/register", json=ADA | {"password": "correct horse battery"})
    )
    await held.begun()

    answers = [await client.get("/users/me") for _ in range(20)]
    was_hashing = not registering.done()
    held.release()

    assert was_hashing
    assert {answer.status_code for answer in answers} == {401}
    assert (await registering).status_code == 201


async def test_a_full_queue_is_busy_at_once_and_then_drains(hasher, held):
    waiting = [asyncio.create_task(hasher.hash("x")) for _ in range(2)]
    await held.begun()

    with pytest.raises(HashingBusy):
        await hasher.hash("x")
    held.release()

    assert await asyncio.gather(*waiting) == ["a hash", "a hash"]
    assert await hasher.hash("x") == "a hash"


async def test_a_cancelled_caller_keeps_the_slot_until_the_work_ends(hasher, held):
    waiting = [asyncio.create_task(hasher.hash("x")) for _ in range(2)]
    await held.begun()
    waiting[0].cancel()
    await asyncio.gather(*waiting[:1], return_exceptions=True)

    with pytest.raises(HashingBusy):
        await hasher.hash("x")
    held.release()
    await waiting[1]

    assert await hasher.hash("x") == "a hash"


async def test_a_failing_hash_releases_its_slot(hasher, monkeypatch):
    def fail(password):
        raise MemoryError

    monkeypatch.setattr(hashing, "hash_password", fail)
    outcomes = [await asyncio.gather(hasher.hash("x"), return_exceptions=True) for _ in range(3)]

    assert [type(outcome) for (outcome,) in outcomes] == [MemoryError] * 3


async def test_a_saturated_application_sends_retry_after(other_client, held, accounts):
    client = await other_client(hash_threads=1, hash_queue=0)
    first = asyncio.create_task(
        client.post("/users/register", json=ADA | {"password": "correct horse battery"})
    )
    await held.begun()

    busy = [
        await client.post(
            "/users/register", json={"email": "eve@example.com", "password": "a password of Eve"}
        ),
        await client.post("/users/login", json={"email": "eve@example.com", "password": "a password of Eve"}),
    ]
    held.release()

    assert (await first).status_code == 201
    assert [answer.status_code for answer in busy] == [503, 503]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in busy)
    assert [account.email for account in await accounts()] == ["ada@example.com"]
