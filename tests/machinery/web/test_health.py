"""Health routes for load balancers, which reveal no internal details."""

import pytest

from app.web import health


@pytest.fixture
def healthy(web):
    web.include_router(health.router)
    return web


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_a_health_route_returns_200(healthy, http, path):
    assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_a_health_route_supports_head_without_a_body(healthy, raw, path):
    answer = await raw(healthy, "HEAD", path)

    assert (answer.status, answer.body) == (200, b"")


async def test_a_failed_check_is_503_and_named(healthy, http):
    @healthy.readiness_check("queue")
    async def check() -> tuple[bool, str]:
        return False, "host 10.0.0.1"

    answer = await http.get("/readyz")

    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "checks": {"queue": False}})


async def test_a_raising_check_is_503_and_only_logged(healthy, http, caplog):
    @healthy.readiness_check("queue")
    async def check() -> tuple[bool, str]:
        raise RuntimeError("host 10.0.0.1")

    answer = await http.get("/readyz")

    assert (answer.status_code, "10.0.0.1" in answer.text) == (503, False)
    assert "host 10.0.0.1" in caplog.text


async def test_a_failed_check_does_not_stop_the_process(healthy, http):
    @healthy.readiness_check("queue")
    async def check() -> tuple[bool, str]:
        return False, ""

    assert (await http.get("/livez")).status_code == 200


async def test_the_database_is_checked(stored, stored_http):
    stored.include_router(health.router)

    assert (await stored_http.get("/readyz")).json()["checks"] == {"database": True}
