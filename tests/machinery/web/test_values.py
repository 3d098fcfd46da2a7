"""Values that a database cannot store are a client error on every database: 400, never 500."""

from datetime import datetime
from typing import Any

import pytest
from hawkapi import Request
from sqlalchemy import literal, select

from app.clock import UTCDateTime
from app.database import Db


@pytest.mark.parametrize("number", [2**70, -(2**70)])
async def test_an_unstorable_value_is_400(stored, stored_http, thing, number):
    @stored.post("/")
    async def handler(body: dict[str, int], db: Db) -> None:
        db.add(thing(name="a", number=body["number"]))

    assert (await stored_http.post("/", json={"number": number})).status_code == 400


async def test_an_unstorable_lookup_value_is_400(stored, stored_http, thing):
    @stored.get("/{number:int}")
    async def handler(number: int, db: Db) -> bool:
        return await db.get(thing, number) is None

    assert (await stored_http.get("/1")).json() is True
    assert (await stored_http.get(f"/{2**70}")).status_code == 400


@pytest.mark.parametrize(
    ("moment", "logged"),
    [
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
        # If the code creates such a time, the log shows where.
        ("2026-01-01T00:00:00", True),
    ],
)
async def test_a_time_that_cannot_be_stored_is_400(stored, stored_http, caplog, moment, logged):
    @stored.get("/")
    async def handler(moment: datetime, db: Db) -> datetime | None:
        return await db.scalar(select(literal(moment, UTCDateTime())))

    answer = await stored_http.get("/", params={"moment": moment})

    assert (answer.status_code, answer.json()["code"]) == (400, "unstorable_value")
    assert ("The time has no time zone" in caplog.text) is logged


async def test_an_unchecked_nul_is_not_a_server_error(stored, stored_http, thing):
    @stored.post("/")
    async def handler(request: Request, db: Db) -> None:
        found: Any = await request.json()
        db.add(thing(name=found))

    assert (await stored_http.post("/", json="a\0b")).status_code in (201, 400)
