"""The DATABASE_URL that hosting providers hand out is accepted unchanged."""

import asyncio
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.settings import Settings
from app.settings_checks.pooler import allow_poolers

SCHEME = "postgresql+asyncpg://"
PRIVATE = {"plaintext_hosts": "dpg-abc123-a,postgres.railway.internal,my-db.flycast"}
"""Hosts without TLS, in the provider's private network."""


def accepted(url: str, **changes: object) -> str:
    """*url* as the application uses it in production."""
    values = {
        "environment": "production",
        "secret_key": sha256(b"the secret of the tests").hexdigest(),
        "base_url": "https://app.example.com",
        "mail_backend": "smtp",
        "mail_sender": "app@example.com",
        "smtp_host": "127.0.0.1",
    }
    settings = Settings(_env_file=None, database_url=url, **values | changes)  # type: ignore[call-arg]
    return settings.database_url.get_secret_value()


NEON = "ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech/neondb"
NEON_POOLED = "ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech/neondb"
SUPABASE = "postgres.abcdefghijkl:p%40ss@aws-0-eu-central-1.pooler.supabase.com"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        pytest.param(
            "postgresql://u:p@dpg-abc123-a.oregon-postgres.render.com/app?sslmode=require",
            "u:p@dpg-abc123-a.oregon-postgres.render.com/app?ssl=require",
            id="Render",
        ),
        pytest.param("postgresql://u:p@dpg-abc123-a/app", "u:p@dpg-abc123-a/app", id="Render, private"),
        pytest.param(
            "postgresql://postgres:p@monorail.proxy.rlwy.net:12345/railway?sslmode=require",
            "postgres:p@monorail.proxy.rlwy.net:12345/railway?ssl=require",
            id="Railway",
        ),
        pytest.param(
            "postgresql://postgres:p@postgres.railway.internal:5432/railway",
            "postgres:p@postgres.railway.internal:5432/railway",
            id="Railway, private",
        ),
        pytest.param(
            "postgres://app:p@my-db.flycast:5432/app?sslmode=disable",
            "app:p@my-db.flycast:5432/app?ssl=disable",
            id="Fly, private",
        ),
        pytest.param(
            f"postgresql://u:p@{NEON}?sslmode=require&channel_binding=require",
            f"u:p@{NEON}?ssl=require",
            id="Neon",
        ),
        pytest.param(
            f"postgres://u:p@{NEON}?sslmode=require&options=endpoint%3Dep-cool-darkness-a1b2c3d4",
            f"u:p@{NEON}?ssl=require",
            id="Neon, for clients without SNI",
        ),
        pytest.param(
            f"postgres://u:p@{NEON_POOLED}?sslmode=require&options=endpoint%3Dep-cool-darkness-a1b2c3d4",
            f"u:p@{NEON_POOLED}?ssl=require",
            id="Neon, pooled, for clients without SNI",
        ),
        pytest.param(
            f"postgresql://u:p@{NEON_POOLED}?sslmode=require&connect_timeout=15&pool_timeout=15",
            f"u:p@{NEON_POOLED}?ssl=require",
            id="Neon, for Prisma",
        ),
        pytest.param(
            f"postgresql://{SUPABASE}:5432/postgres?sslmode=require&schema=public",
            f"{SUPABASE}:5432/postgres?ssl=require",
            id="Supabase, session mode",
        ),
        pytest.param(
            f"postgresql://{SUPABASE}:6543/postgres?sslmode=require&pgbouncer=true&connection_limit=1",
            f"{SUPABASE}:6543/postgres?prepared_statement_cache_size=0&ssl=require",
            id="Supabase, transaction mode",
        ),
        pytest.param(
            f"postgresql://{SUPABASE}:5432/postgres?sslmode=require&pgbouncer=false&uselibpqcompat=true",
            f"{SUPABASE}:5432/postgres?ssl=require",
            id="not a pooler",
        ),
    ],
)
def test_the_url_of_a_host_is_accepted(given: str, used: str):
    assert accepted(given, **PRIVATE) == SCHEME + used


def test_the_url_of_heroku_is_accepted_with_a_mode_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGSSLMODE", "require")

    used = accepted("postgres://u:p@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d1a2b3")

    assert used == SCHEME + "u:p@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d1a2b3"


class NotConnected(Exception):
    """Raised instead of connecting."""


def options_for_asyncpg(query: str) -> dict[str, Any]:
    """The arguments with which asyncpg is called for a URL with this *query*."""
    engine = create_async_engine(accepted(f"postgresql://u:p@127.0.0.1/app{query}"))
    seen: dict[str, Any] = {}

    @event.listens_for(engine.sync_engine, "do_connect")
    def stop(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
        seen.update(options)
        raise NotConnected

    async def connect() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    with pytest.raises(NotConnected):
        asyncio.run(connect())
    return seen


@pytest.mark.parametrize("query", ["?pgbouncer=true", "?prepared_statement_cache_size=0"])
def test_behind_a_pooler_no_statement_is_kept_or_named_twice(query: str):
    options = options_for_asyncpg(query)

    name = options["prepared_statement_name_func"]
    assert (options["statement_cache_size"], options["prepared_statement_cache_size"]) == (0, 0)
    assert name() != name()


def test_without_a_pooler_statements_are_kept():
    allow_poolers()

    assert options_for_asyncpg("").keys() & {"statement_cache_size", "prepared_statement_name_func"} == set()
