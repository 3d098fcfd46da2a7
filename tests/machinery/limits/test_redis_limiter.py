"""The limiter in Redis: processes share counts, keys expire, and nobody can tell whose limits they are."""

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app import clock
from app.limits import LimiterUnavailable, Rate
from app.limits.limiter import bucket_name

RATE = Rate.parse("10/15m")


async def stored(limiter: Any, prefix: str) -> list[str]:
    """The names of this test's keys."""
    return [name.decode() async for name in limiter._redis.scan_iter(match=f"{prefix}*")]


async def test_two_processes_count_together(connect):
    first, second = connect(), connect()

    waits = await asyncio.gather(*(each.acquire("ada", RATE) for each in [first, second] * 50))

    assert waits.count(0.0) == 10


async def test_the_script_is_loaded_again_after_a_flush(connect):
    limiter = connect()
    for _ in range(9):
        await limiter.acquire("ada", RATE)

    await limiter._redis.script_flush()

    assert [await limiter.acquire("ada", RATE) == 0.0 for _ in range(2)] == [True, False]


async def test_keys_expire_when_they_no_longer_count(connect, prefix):
    limiter = connect()
    for _ in range(3):
        await limiter.acquire("ada", RATE)

    (name,) = await stored(limiter, prefix)

    assert 269_000 < await limiter._redis.pttl(name) <= 270_000


async def test_a_fully_refunded_key_is_deleted(connect, prefix):
    limiter = connect()
    await limiter.acquire("ada", RATE)

    await limiter.refund("ada", RATE)

    assert await stored(limiter, prefix) == []


async def test_peeking_stores_nothing(connect, prefix):
    limiter = connect()

    await limiter.peek("ada", RATE)

    assert await stored(limiter, prefix) == []


async def test_redis_holds_no_readable_keys(connect, prefix):
    """The keys cannot even be guessed, because their names depend on the application's secret."""
    limiter = connect(secret="s3cret")
    await limiter.acquire("ada@example.com", RATE)

    (name,) = await stored(limiter, prefix)

    assert "ada" not in name
    assert not name.endswith(bucket_name("ada@example.com", RATE))


async def test_applications_with_different_secrets_count_separately(connect):
    await connect(secret="one").acquire("ada", Rate(1, 60))

    assert await connect(secret="two").acquire("ada", Rate(1, 60)) == 0.0


async def test_the_clock_of_redis_is_used(connect, monkeypatch: pytest.MonkeyPatch):
    """The clocks of two machines may differ."""
    first, second = connect(), connect()
    await first.acquire("ada", Rate(1, 60))

    monkeypatch.setattr(clock, "now", lambda: datetime(2050, 1, 1, tzinfo=UTC))

    assert await second.acquire("ada", Rate(1, 60)) == pytest.approx(60, abs=5)


async def test_clearing_deletes_only_our_keys(connect, prefix):
    others = connect(prefix=f"{prefix}others:")
    ours = connect(prefix=f"{prefix}ours:")
    await others.acquire("ada", Rate(1, 60))
    await ours.acquire("ada", Rate(1, 60))

    await ours.clear()

    assert len(await stored(others, prefix)) == 1


async def test_dead_idle_connections_cause_no_errors(connect):
    """After a Redis restart, or if a firewall dropped the connection, the next call opens a new one."""
    limiter, other = connect(), connect()
    await asyncio.gather(*(limiter.acquire("ada", RATE) for _ in range(5)))
    for each in await limiter._redis.client_list():
        if each["cmd"].startswith("evalsha"):
            await other._redis.client_kill_filter(_id=each["id"])

    waits = await asyncio.gather(*(limiter.acquire("ada", RATE) for _ in range(6)))

    assert waits.count(0.0) == 5


async def test_a_connection_lost_during_a_call_causes_no_error(connect, dropping):
    """Some dead connections are noticed only when something is sent."""
    assert await connect(dropping.url).acquire("ada", RATE) == 0.0
    assert dropping.connections == 2


async def test_a_cancelled_call_drops_its_response(connect):
    """If a response remained unread, the next call on that connection would read it as its own."""
    limiter = connect()
    await limiter.acquire("ada", Rate(1, 3600))
    for turns in range(20):
        take = asyncio.create_task(limiter.acquire("ada", Rate(1, 3600)))
        for _ in range(turns):
            await asyncio.sleep(0)
        take.cancel()
        await asyncio.gather(take, return_exceptions=True)

    assert await limiter.acquire("bob", RATE) == 0.0
    assert await limiter.acquire("ada", Rate(1, 3600)) > 3000


async def test_a_restarted_redis_counts_at_the_first_call(connect, server):
    limiter = connect(server.url)
    await limiter.acquire("ada", RATE)

    server.kill()
    await asyncio.to_thread(server.start)

    assert [await limiter.acquire("ada", Rate(2, 60)) == 0.0 for _ in range(3)] == [True, True, False]


async def test_a_refused_connection_is_an_outage(connect, server):
    server.kill()
    limiter = connect(server.url.replace("//", "//ada:hunter2@"))

    with pytest.raises(LimiterUnavailable) as caught:
        await limiter.acquire("ada", RATE)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("question", ["acquire", "peek", "refund"])
@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$5\r\nhel", b"+OK\r\n", b"\xff"]
)
async def test_a_server_that_is_not_redis_is_an_outage(connect, silent, question: str, greeting: bytes):
    silent.greeting = greeting
    limiter = connect(silent.url)

    with pytest.raises(LimiterUnavailable):
        await getattr(limiter, question)("ada", RATE)


async def test_a_redis_error_is_an_outage(connect, make_server):
    """Redis may be full or a read-only replica."""
    server = make_server()
    limiter = connect(server.url)
    await limiter._redis.config_set("maxmemory", "1")

    with pytest.raises(LimiterUnavailable, match="OutOfMemory"):
        await limiter.acquire("ada", RATE)


async def test_a_password_is_sent(connect, make_server):
    server = make_server()
    await connect(server.url)._redis.config_set("requirepass", "p@ss")

    assert await connect(server.url.replace("//", "//:p%40ss@")).acquire("ada", RATE) == 0.0
    with pytest.raises(LimiterUnavailable):
        await connect(server.url).acquire("ada", RATE)


async def test_a_unix_socket_can_be_used(connect, make_server, tmp_path: Path):
    url = f"unix://{tmp_path}/redis.sock?db=1"
    make_server("--port", "0", "--unixsocket", f"{tmp_path}/redis.sock", url=url)

    assert await connect(url).acquire("ada", RATE) == 0.0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in key.pem beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, and this test needs a certificate")
    path = tmp_path / "certificate.pem"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    subject = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*request, *subject, "-keyout", tmp_path / "key.pem", "-out", path], check=True)
    return path


async def test_tls_is_used_and_the_certificate_checked(connect, make_server, certificate: Path, unused: int):
    url = f"rediss://127.0.0.1:{unused}/0"
    trusting = f"{url}?ssl_ca_certs={certificate}"
    files = ["--tls-cert-file", certificate, "--tls-key-file", certificate.with_name("key.pem")]
    options = ["--port", 0, "--tls-port", unused, "--tls-auth-clients", "no", *files]
    make_server(*map(str, options), url=trusting)

    assert await connect(trusting).acquire("ada", RATE) == 0.0
    with pytest.raises(LimiterUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(url).acquire("ada", RATE)
