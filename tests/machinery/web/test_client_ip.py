"""The client of a request: its address behind trusted proxies, and its user agent, whatever is sent."""

from ipaddress import ip_network
from typing import Any

import pytest
from hawkapi import Request

from app.settings import Settings
from app.web import App
from app.web.client_ip import MAX_USER_AGENT, Client, _plain, client_of

PEER = "203.0.113.9"
CLIENT = "198.51.100.7"


def client(
    *headers: tuple[bytes, bytes], peer: str | None = PEER, trusted: str = "", kind: str = "http"
) -> Any:
    """What `client_of` returns for a request from *peer*, with the given TRUSTED_PROXIES."""
    app = App(title="Test", version="1", description="", max_body_size=1000)
    networks = [ip_network(each) for each in trusted.split(",") if each]
    app.state.settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        secret_key="0123456789abcdef" * 4,  # type: ignore[arg-type]
        trusted_proxies=networks,
    )
    scope: dict[str, Any] = {"type": kind, "method": "GET", "path": "/", "headers": list(headers), "app": app}
    if peer is not None:
        scope["client"] = (peer, 50000)

    async def receive() -> Any:
        raise AssertionError("nobody has to read the body for this")

    return client_of(Request(scope, receive))


def forwarded(*lines: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]


# The address


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (PEER, PEER),
        ("::1", "::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:203.0.113.9", PEER),
        ("::ffff:cb00:7109", PEER),
        ("testclient", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_without_proxies_the_client_is_the_peer(peer: str | None, address: str):
    """A peer behind a Unix socket has no address. Addresses are normalized."""
    assert client(peer=peer).ip_address == address


@pytest.mark.parametrize("lines", [[CLIENT], [f"{CLIENT}, {PEER}"], ["garbage"], [CLIENT, CLIENT]])
@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8", "203.0.113.8", "203.0.113.10/31", "2001:db8::/32"])
def test_a_forwarded_address_from_an_untrusted_peer_is_ignored(lines: list[str], trusted: str):
    """Checklist 10: a spoofed X-Forwarded-For does not change the client."""
    assert client(*forwarded(*lines), trusted=trusted).ip_address == PEER


@pytest.mark.parametrize("trusted", [PEER, "203.0.113.0/24", f"10.0.0.0/8,{PEER}", f"::1,{PEER}/32"])
def test_a_trusted_proxy_names_the_client(trusted: str):
    assert client(*forwarded(CLIENT), trusted=trusted).ip_address == CLIENT


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::/32"),
        ("::ffff:10.0.0.1", "10.0.0.0/8"),
        ("::1", "127.0.0.1,::1"),
    ],
)
def test_a_trusted_proxy_may_have_an_ipv6_address(peer: str, trusted: str):
    """A server that listens on :: sees IPv4 peers as mapped addresses."""
    assert client(*forwarded(CLIENT), peer=peer, trusted=trusted).ip_address == CLIENT


@pytest.mark.parametrize("peer", [None, ""])
@pytest.mark.parametrize(("trusted", "address"), [(PEER, CLIENT), ("", "")], ids=["with proxies", "without"])
def test_a_peer_behind_a_unix_socket_is_a_proxy(peer: str | None, trusted: str, address: str):
    """Only a proxy on the same machine connects without an address."""
    assert client(*forwarded(f"1.1.1.1, {CLIENT}"), peer=peer, trusted=trusted).ip_address == address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("2001:DB8::0:7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("::ffff:198.51.100.7", CLIENT),
        (f"  {CLIENT} ", CLIENT),
        (f"{CLIENT},", CLIENT),
        (f", ,{CLIENT}, ,", CLIENT),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%" + "x" * 500, "fe80::1"),
        # Some proxies append the port.
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
    ],
)
def test_a_forwarded_address_is_normalized(written: str, address: str):
    """The value is no longer than an IP address can be, because it is stored in a column."""
    assert client(*forwarded(written), trusted=PEER).ip_address == address


@pytest.mark.parametrize("written", ["", " ", ",", "unknown", "_hidden", "127.1", "1", "é", "x" * 8000])
def test_an_invalid_forwarded_address_leaves_the_proxy_as_client(written: str):
    assert client(*forwarded(written), trusted=PEER).ip_address == PEER


@pytest.mark.parametrize(
    "written",
    [
        "198.51.100.7.",
        "198.51.100.256",
        "198.51.100.7/24",
        "for=198.51.100.7",
        "'; DROP TABLE users;--",
    ],
)
def test_an_almost_valid_address_is_ignored(written: str):
    assert client(*forwarded(written), trusted=PEER).ip_address == PEER


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["1.1.1.1, 198.51.100.7"], CLIENT),
        (["10.0.0.1, 198.51.100.7"], CLIENT),
        (["garbage, 198.51.100.7"], CLIENT),
        (["198.51.100.7, 10.0.0.1"], CLIENT),
        (["198.51.100.7, 10.0.0.2, 10.0.0.1"], CLIENT),
        (["1.1.1.1, 198.51.100.7, 10.0.0.2, 10.0.0.1"], CLIENT),
        (["1.1.1.1, 198.51.100.7, 10.0.0.2, 203.0.113.9"], CLIENT),
        (["1.1.1.1, 198.51.100.7, 8.8.8.8, 10.0.0.1"], "8.8.8.8"),
        (["198.51.100.7, garbage, 10.0.0.1"], "10.0.0.1"),
        (["10.0.0.3, 10.0.0.2, 10.0.0.1"], "10.0.0.3"),
    ],
)
def test_the_last_untrusted_hop_is_the_client(lines: list[str], address: str):
    """Each proxy appends its client's address. The client may have written anything before that."""
    assert client(*forwarded(*lines), trusted=f"{PEER},10.0.0.0/8").ip_address == address


@pytest.mark.parametrize(
    "lines",
    [["1.1.1.1", CLIENT], ["1.1.1.1, 10.0.0.9", CLIENT, "10.0.0.1"], [CLIENT, "10.0.0.1"], [CLIENT, ""]],
    ids=str,
)
def test_several_header_lines_are_one_list(lines: list[str]):
    """RFC 9110, section 5.3. HAProxy adds its own line below the client's."""
    assert client(*forwarded(*lines), trusted=f"{PEER},10.0.0.0/8").ip_address == CLIENT


def test_what_the_client_itself_forwarded_is_not_cached():
    """Each entry can be almost as long as the limit for all headers."""
    client(*forwarded(CLIENT), trusted=PEER)
    before = _plain.cache_info().currsize

    for number in range(10):
        assert client(*forwarded(f"{'x' * 8000}{number}, {CLIENT}"), trusted=PEER).ip_address == CLIENT

    assert _plain.cache_info().currsize == before


@pytest.mark.parametrize("name", [b"forwarded", b"x-real-ip", b"cf-connecting-ip", b"x-client-ip", b"via"])
def test_other_headers_are_ignored(name: bytes):
    """Not every proxy overwrites these headers."""
    assert client((name, CLIENT.encode()), trusted=PEER).ip_address == PEER


# The network, to which limits apply


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (PEER, PEER),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
        ("fe80::1", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_the_network_is_an_ipv4_address_or_the_64_of_an_ipv6_address(address: str, network: str):
    """One customer has all the addresses of a /64 network and would otherwise get that many attempts."""
    assert Client(address).network == network


@pytest.mark.parametrize(
    ("peer", "network"),
    [("::ffff:203.0.113.9", PEER), ("2001:DB8:0:0:5::", "2001:db8::/64"), (None, "unknown")],
)
def test_the_network_is_derived_from_the_client(peer: str | None, network: str):
    assert client(peer=peer).network == network


# The browser


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"),
        (b"", ""),
        (b"a\tb\x00c\x7fd\x1b[31m", "abcd[31m"),
        (b"a\r\nBcc: eve@example.com", "aBcc: eve@example.com"),
        (b"\xff\xfe\x85\xa0", "ÿþ"),
        ("Möwe 🦅".encode(), "MÃ¶we ð¦"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
    ids=repr,
)
def test_unprintable_characters_are_removed_from_the_user_agent(sent: bytes, kept: str):
    assert client((b"user-agent", sent)).user_agent == kept


def test_a_missing_user_agent_is_empty():
    assert client().user_agent == ""


@pytest.mark.parametrize("length", [MAX_USER_AGENT - 1, MAX_USER_AGENT, MAX_USER_AGENT + 1, 100_000])
def test_a_long_user_agent_header_is_cut(length: int):
    assert client((b"user-agent", b"x" * length)).user_agent == "x" * min(length, MAX_USER_AGENT)


async def test_the_longest_values_fit_the_columns(app: App, make_user: Any, raw: Any):
    """On PostgreSQL, a string that is too long or contains NUL is an error."""
    user = await make_user("ada@example.com", is_active=False)
    body = b'{"email": "ada@example.com", "password": "wrong"}'

    answer = await raw(
        app,
        "POST",
        "/users/login",
        incoming=[{"type": "http.request", "body": body, "more_body": False}],
        headers=[
            (b"content-type", b"application/json"),
            (b"user-agent", b"\x00" + b"\xff" * 8_000),
            (b"x-forwarded-for", b"fe80::1%" + b"x" * 8_000),
        ],
    )

    assert (answer.status, user.is_active) == (401, False)
