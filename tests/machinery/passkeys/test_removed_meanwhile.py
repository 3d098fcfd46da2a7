"""A passkey that its owner removes while it is being used."""

from sqlalchemy import delete

from app.passkeys import passkeys
from app.passkeys.models import Passkey
from tests.passkeys.conftest import begin, log_in


async def test_a_passkey_that_is_removed_after_its_verification_is_refused(owner, person, phone, monkeypatch):
    credential = phone.get(await begin(person))
    lock = passkeys.lock

    async def lock_after_its_removal(db, user):
        # Deletes the passkey as another transaction would, without this session noticing.
        await db.execute(delete(Passkey).execution_options(synchronize_session=False))
        await lock(db, user)

    monkeypatch.setattr(passkeys, "lock", lock_after_its_removal)

    response = await log_in(person, credential)

    assert response.status_code == 401
    assert response.json()["code"] == "passkey_refused"
