"""The request's session cannot be used after the request."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import InvalidRequestError

from app.database import Db
from app.web.streaming import JSONStream


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def settings(settings, request):
    """The settings with and without DATABASE_FAST_PATHS."""
    return settings.model_copy(update={"database_fast_paths": request.param})


def connections_in_use(app):
    return sum(each.engine.pool.checkedout() for each in app.state.db.engines.values())


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_streamed_response_cannot_use_the_session_of_its_request(stored, stored_http, thing, method):
    errors = []

    async def parts(db):
        try:
            yield str(await db.scalar(select(func.count()).select_from(thing))).encode()
        except InvalidRequestError as error:
            errors.append(str(error))
            raise

    async def handler(db: Db) -> JSONStream:
        await db.scalar(select(thing.id))
        return JSONStream(parts(db))

    stored.add_route("/", handler, methods={method})

    response = await stored_http.request(method, "/")

    assert response.status_code == 500
    assert "permanently closed" in errors[0]
    assert connections_in_use(stored) == 0
