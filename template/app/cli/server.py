"""`app dev`, `app serve` and `app worker`: the application's processes."""

import asyncio
import gc
import logging
import multiprocessing
import os
import secrets
import signal
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import PROJECT, application, fail, require_database
from app.cli.database import revision_files, upgrade_to_heads, what_is_missing
from app.cli.permissions import OWNER_ONLY, keep_private
from app.cli.sample_data import add_sample_data

if TYPE_CHECKING:
    from granian.server.common import AbstractServer

    from app.settings import Settings

logger = logging.getLogger("app.worker")

LOOK_AGAIN = 2.0
"""Seconds between checks by a worker whose database is missing or not migrated."""

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]


def dev(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    seed: Annotated[bool, typer.Option("--seed", help="Add sample data, as `app db seed` does.")] = False,
) -> None:
    """Run in development: create .env and the database, migrate, serve with reload, and send e-mail
    in-process."""
    from app.cli.debugger import use_terminal
    from app.mail.mailbox import mailbox_url
    from app.settings import load_settings
    from app.settings_checks import features

    _create_env_file()
    _refuse_a_taken_port(host, port)
    settings = load_settings()
    features.require(settings)
    if settings.environment == "production":
        fail("`app dev` is for development, but ENVIRONMENT is production. Use `uv run app serve`.")
    settings = _with_links_to_this_server(settings, host, port)
    keep_private(settings)
    upgrade_to_heads(settings)
    if seed:
        add_sample_data(settings)
    typer.echo(
        f"\n  Application  {settings.base_url}\n"
        + (f"  Routes       {settings.base_url}/docs\n" if settings.docs_enabled else "")
        + (f"  Mailbox      {mailbox_url(settings)}\n" if mailbox_url(settings) else "")
        + f"  Mail         {_where_mail_goes(settings.mail_backend, settings.background_worker)}\n"
        "  Stop it with Ctrl+C. It restarts when you save a file.\n"
    )
    use_terminal()
    _granian(settings, host, port, workers=1, reload=True)


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes, about one per core.")] = 1,
) -> None:
    """Run in production: check the settings and the migrations, then serve with one or more processes."""
    from app.main import load_features
    from app.settings import load_settings
    from app.settings_checks import features

    settings = load_settings()
    # Report a missing feature here, with a message. A server process would print a traceback.
    load_features()
    features.require(settings)
    if settings.environment != "production":
        typer.secho(
            f"ENVIRONMENT is {settings.environment}: settings that production rejects are accepted.",
            fg=typer.colors.YELLOW,
            err=True,
        )
    if workers > 1 and settings.redis_url is None:
        _say_that_each_counts_alone(workers, settings.environment)
    if settings.environment == "production" and not settings.trusted_proxies:
        typer.secho(
            "TRUSTED_PROXIES is empty: behind a proxy, all clients appear to have the same IP address and"
            " share its limits.",
            fg=typer.colors.YELLOW,
            err=True,
        )
    _refuse_a_taken_port(host, port)
    require_database(settings)
    keep_private(settings)
    if missing := asyncio.run(what_is_missing(settings, revision_files(settings))):
        fail(missing)
    if settings.environment != "production":
        settings = _with_links_to_this_server(settings, host, port)
    _granian(settings, host, port, workers=workers, reload=False)


def worker() -> None:
    """Send e-mail from the outbox, delete expired data and run the scheduled tasks.

    Several workers may run at once. Each waits until the database exists and is migrated."""
    asyncio.run(_work())


async def _work() -> None:
    from app import logs, tasks
    from app.mail import build_worker
    from app.main import load_features
    from app.settings import load_settings
    from app.settings_checks import features

    settings = load_settings()
    # Report a missing feature now, before waiting for the database.
    load_features()
    features.require(settings)
    keep_private(settings)
    logs.configure(settings)
    await wait_for_database(settings)
    # Handle SIGTERM only from here on. Before this, the handler in `early_stop.py` ends the process at once:
    # cancelling a SQLite connection while it opens would leave a thread that keeps the process alive.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with application() as app:
        logging.getLogger("app.mail").info("sending e-mail by %s", settings.mail_backend)
        await asyncio.gather(build_worker(app.state.db, settings).run(stop), tasks.run(app.state.tasks, stop))


async def wait_for_database(settings: "Settings") -> None:
    """Wait until the database is migrated. Log each reason for waiting only once."""
    revisions = revision_files(settings)
    said: set[str] = set()
    while missing := await what_is_missing(settings, revisions):
        if missing not in said:
            said.add(missing)
            logger.warning("%s The worker waits until the database is ready.", missing)
        await asyncio.sleep(LOOK_AGAIN)


def _create_env_file() -> None:
    """Create `.env`. A fresh clone lacks this file, which contains the secret key and is not in git."""
    target, example = PROJECT / ".env", PROJECT / ".env.example"
    if target.exists() or os.environ.get("SECRET_KEY") or not example.exists():
        return
    lines = example.read_text("utf-8").splitlines(keepends=True)
    target.touch(OWNER_ONLY)
    target.write_text(
        "".join(
            f"SECRET_KEY={secrets.token_hex(32)}\n" if line.startswith("SECRET_KEY=") else line
            for line in lines
        ),
        "utf-8",
    )
    typer.echo("Wrote .env from .env.example with a new secret key.")


def _refuse_a_taken_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fail(f"Cannot listen on {host}, port {port} ({error.strerror}). Choose another port with --port.")


def _say_that_each_counts_alone(workers: int, environment: str) -> None:
    what = f"Without REDIS_URL, {workers} processes count separately: limits allow {workers} times as much"
    if environment == "production":
        fail(f"{what}. Set REDIS_URL, or serve with --workers 1.")
    typer.secho(f"{what}; production rejects this.", fg=typer.colors.YELLOW, err=True)


def _with_links_to_this_server(settings: "Settings", host: str, port: int) -> "Settings":
    """The settings, with this server's address as the default for BASE_URL, which all links start with."""
    from app.settings import load_settings

    if "base_url" in settings.model_fields_set:
        return settings
    # Set BASE_URL in the environment, because the worker processes load the settings again.
    os.environ["BASE_URL"] = f"http://{_in_address(host)}:{port}"
    return load_settings()


def _in_address(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host


def _where_mail_goes(backend: str, worker: str) -> str:
    if worker == "separate":
        return "waits for `uv run app worker` (BACKGROUND_WORKER=separate)"
    return {
        "console": "is printed here, links included",
        "smtp": "is sent to SMTP_HOST",
        "memory": "goes nowhere (MAIL_BACKEND=memory)",
    }.get(backend, f"is sent by {backend}")


def _granian(settings: "Settings", host: str, port: int, *, workers: int, reload: bool) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings, HTTP2Settings

    from app import logs
    from app.cli.web_process import GRACE, RespawningServer, load

    if reload:
        # A forked worker would keep the modules that the migrations loaded into this process.
        multiprocessing.set_start_method("spawn", force=True)
    server = RespawningServer(
        "app.asgi:app",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        # Detect the HTTP version only if HTTP/2 is enabled, because Granian waits for the first bytes without
        # a timeout (CWE-400).
        http=HTTPModes.auto if settings.http2_enabled else HTTPModes.http1,
        workers=workers,
        reload=reload,
        reload_paths=[PROJECT / "app"] if reload else None,
        # A broken file must not stop `app dev`: the next save may fix it.
        reload_ignore_worker_failure=reload,
        respawn_failed_workers=not reload,
        workers_kill_timeout=5 if reload else GRACE,
        # Clients that send headers slowly or endlessly are cut off here. The application's own limits, which
        # result in an error response, apply once the headers are complete.
        http1_settings=HTTP1Settings(header_read_timeout=round(settings.header_timeout * 1000)),
        # A client that does not reply to a PING is either gone or only holding the connection open.
        http2_settings=HTTP2Settings(
            max_headers_size=4 * settings.max_header_size,
            keep_alive_interval=round(settings.header_timeout * 1000),
            keep_alive_timeout=max(1, round(settings.header_timeout)),
        ),
        log_dictconfig=logs.configuration(settings),
    )
    if reload and hasattr(signal, "SIGHUP"):
        _end_with_the_terminal(server)
    # Forked processes share the memory of objects that the garbage collector never visits.
    gc.freeze()
    server.serve(target_loader=None if reload else load)


def _end_with_the_terminal(server: "AbstractServer[Any]") -> None:
    """Stop *server* on SIGHUP. By default, Granian would reload instead and keep its port."""
    # Under `nohup`, SIGHUP is ignored, and it must stay ignored.
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def stop(*_: object) -> None:
        server.signal_handler_interrupt()  # pyright: ignore[reportUnknownMemberType]  # has no types

    # Granian installs its own handlers at startup, just before it calls this hook.
    @server.on_startup
    def set_handler() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else stop)

    _ = set_handler
