"""`app dev`, `app serve` and `app worker`: the processes of the application."""

import asyncio
import logging
import multiprocessing
import os
import secrets
import signal
import socket
from typing import Annotated

import typer

from app.cli.common import PROJECT, application, fail, require_database
from app.cli.database import pending, upgrade_to_heads

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]


def dev(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Develop: create what is missing, migrate, serve with reload, send mail from the same process."""
    from app.settings import load_settings

    _create_env_file()
    _refuse_a_taken_port(host, port)
    settings = load_settings()
    if settings.environment == "production":
        fail("`app dev` is for development, and ENVIRONMENT is production. Use `uv run app serve`.")
    if "base_url" not in settings.model_fields_set:
        # Links in mails have to lead to where this server is.
        os.environ["BASE_URL"] = f"http://{_in_address(host)}:{port}"
        settings = load_settings()
    upgrade_to_heads(settings)
    typer.echo(
        f"\n  Application  {settings.base_url}\n"
        + (f"  Routes       {settings.base_url}/docs\n" if settings.docs_enabled else "")
        + f"  Mail         {_where_mail_goes(settings.mail_backend, settings.mail_worker)}\n"
        "  Stop it with Ctrl+C. It restarts when you save a file.\n"
    )
    _granian(host, port, workers=1, reload=True)


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; about one for each core.")] = 1,
) -> None:
    """Serve in production: checked settings, migrated database, several processes."""
    from app.settings import load_settings

    settings = load_settings()
    if settings.environment != "production":
        typer.secho(
            f"ENVIRONMENT is {settings.environment}: settings that production refuses are accepted.",
            fg=typer.colors.YELLOW,
            err=True,
        )
    _refuse_a_taken_port(host, port)
    require_database(settings)
    if missing := pending(settings):
        fail(f"The database lacks migrations ({', '.join(sorted(missing))}): run `uv run app db upgrade`.")
    _granian(host, port, workers=workers, reload=False)


def worker() -> None:
    """Send the mail that waits in the outbox, and delete what is past its time. Several may run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_work())


async def _work() -> None:
    from app import chores
    from app.mail import build_worker

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with application() as app:
        settings = app.state.settings
        logging.getLogger("app.mail").info("sending mail by %s", settings.mail_backend)
        await asyncio.gather(
            build_worker(app.state.db, settings).run(stop), chores.run(app.state.chores, stop)
        )


def _create_env_file() -> None:
    """A clone has no `.env`: it is not in git, since it holds the secret."""
    target, example = PROJECT / ".env", PROJECT / ".env.example"
    if target.exists() or os.environ.get("SECRET_KEY") or not example.exists():
        return
    lines = example.read_text("utf-8").splitlines(keepends=True)
    target.touch(mode=0o600)
    target.write_text(
        "".join(
            f"SECRET_KEY={secrets.token_hex(32)}\n" if line.startswith("SECRET_KEY=") else line
            for line in lines
        ),
        "utf-8",
    )
    typer.echo("Wrote .env from .env.example, with a secret key of its own.")


def _refuse_a_taken_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fail(f"Cannot listen on {host}, port {port} ({error.strerror}). Choose another with --port.")


def _in_address(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - only compared
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _where_mail_goes(backend: str, worker: str) -> str:
    if worker == "separate":
        return "waits for `uv run app worker` (MAIL_WORKER=separate)"
    return {
        "console": "is printed here, links included",
        "smtp": "is sent to SMTP_HOST",
        "memory": "goes nowhere (MAIL_BACKEND=memory)",
    }[backend]


def _granian(host: str, port: int, *, workers: int, reload: bool) -> None:
    from granian.constants import Interfaces
    from granian.server import Server

    if reload:
        # A forked worker would go on with the modules that migrating has loaded into this process.
        multiprocessing.set_start_method("spawn", force=True)
    Server(
        "app.asgi:app",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        reload=reload,
        reload_paths=[PROJECT / "app"] if reload else None,
        # A file that is saved half-way must not end `app dev`: the next save mends it.
        reload_ignore_worker_failure=reload,
        respawn_failed_workers=not reload,
        # Without a limit a request that hangs would keep a stopped process for ever.
        workers_kill_timeout=5 if reload else 30,
    ).serve()
