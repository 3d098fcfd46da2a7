"""Where the parts are joined: `create_app()` and the discovery of features. Template-owned.

A feature is a package under `app/` whose `__init__.py` defines `install(app: App) -> None`. The template's
(web, mail, users, ...) and yours are found alike: to add one, make a folder; to remove one, delete it.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import app as package
from app import chores, database
from app.settings import Settings, load_settings
from app.web import App

# Your own imports go below; template updates never touch them.
# isort: split


def create_app(settings: Settings | None = None) -> App:
    """Build the application.

    Raises:
        SettingsError: the environment or `.env` holds something wrong; the text names everything.
    """
    settings = settings or load_settings()
    app = App(
        title=settings.app_name,
        version=package.__version__,
        description="Errors are problem details (RFC 9457).",
        max_body_size=settings.max_body_size,
        debug=settings.debug,
        settings=settings,
    )
    database.install(app)
    chores.install(app)
    for feature in load_features():
        feature.install(app)
    # Your own middleware classes go below; template updates never touch them.
    return app


def load_features() -> list[ModuleType]:
    """Import every feature, and with it every model, in the order of their names."""
    return list(_features())


def _features() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, "app."):
        if found.ispkg:
            module = importlib.import_module(found.name)
            if hasattr(module, "install"):
                yield module
