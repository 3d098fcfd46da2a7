"""Replaces the library suite's conftest.py: uses the generated application instead of a plain HawkAPI."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app.database import Base
from app.main import create_app
from app.settings import Settings
from app.users import UserManager
from hawkapi_mail import InMemoryBackend, Mailer
from pydantic import SecretStr


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    settings = Settings(
        _env_file=None,
        environment="test",
        secret_key=SecretStr("a" * 16 + "0123456789abcdef"),
        mail_backend="memory",
        database_url=SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'library.db'}"),
    )
    # The application opens the file but never creates it: `app db upgrade` does that.
    (tmp_path / "library.db").touch()
    app = create_app(settings)

    async def create_tables() -> None:
        async with app.state.db.get().engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await app.state.db.dispose()

    asyncio.run(create_tables())
    yield app
    app.state.users.hasher.close()


@pytest.fixture
def manager(app: Any) -> UserManager:
    return app.state.users


@pytest.fixture
def mailer() -> Mailer:
    return Mailer(backend=InMemoryBackend())
