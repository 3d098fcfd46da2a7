"""Builds the application: `create_app()` and feature discovery. Template-owned.

A feature is a package under `app/` whose `__init__.py` defines `install(app: App) -> None`. The template's
features (mail, users, ...) and your own are found in the same way. To add a feature, add its folder; to
remove it, delete the folder. If a feature's `install` uses another feature, declare the dependency in the
same file: `REQUIRES = ("mail",)`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from types import ModuleType

import app as package
from app import database, tasks
from app.database import revisions
from app.scheduler import Scheduler, tasks_of
from app.settings import Settings, load_settings
from app.settings_checks import features
from app.web import App

# Your own imports go below; template updates never touch them.
# isort: split


class FeatureError(Exception):
    """A required feature is missing, or features require each other. The message names the features."""


def create_app(settings: Settings | None = None) -> App:
    """Build the application.

    Raises:
        SettingsError: the environment or `.env` is invalid. The message lists every problem.
        FeatureError: a required feature is missing, features require each other, or REQUIRES is not a tuple.
        ScheduleError: a scheduled task is declared incorrectly.
        RouteError: a handler cannot work as written, or two routes clash. The message says where.
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
    database.connect(app)
    revisions.check_readiness(app)
    tasks.install(app)
    app.state.scheduler = Scheduler(app)
    app.on_startup(lambda: features.require(settings))
    for feature in load_features():
        feature.install(app)
        for task in tasks_of(feature):
            app.state.scheduler.add(task)
    # Your own middleware classes go below; template updates never touch them.
    return app


def load_features() -> list[ModuleType]:
    """Import every feature, including its models and scheduled tasks. Returns the features, each one after
    those that it requires.

    Raises:
        FeatureError: a required feature is missing, or features require each other.
        ScheduleError: a scheduled task is declared incorrectly.
    """
    packages = [each.name for each in pkgutil.iter_modules(package.__path__) if each.ispkg]
    modules = {name: importlib.import_module(f"app.{name}") for name in packages}
    features = {name: module for name, module in modules.items() if hasattr(module, "install")}
    for module in features.values():
        tasks_of(module)
    required = {name: _requires(module) for name, module in features.items()}
    return [features[name] for name in in_order(required)]


def _requires(module: ModuleType) -> tuple[str, ...]:
    requires = getattr(module, "REQUIRES", ())
    if isinstance(requires, str):
        raise FeatureError(f'REQUIRES in {module.__name__} must be a tuple: ("{requires}",).')
    return tuple(requires)


def in_order(required: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Sort the features alphabetically, but place each one after those that it requires.

    Raises:
        FeatureError: a required feature is missing, or features require each other.
    """
    for name, needs in required.items():
        for missing in sorted(set(needs) - set(required)):
            raise FeatureError(
                f"app/{name} requires the feature {missing!r}, but app/{missing} does not exist or has no"
                f" `install(app)`. Add it, or remove {missing!r} from REQUIRES in app/{name}/__init__.py."
            )
    sorter = TopologicalSorter({name: sorted(needs) for name, needs in sorted(required.items())})
    try:
        sorter.prepare()
    except CycleError as error:
        first, *others = (f"app/{name}" for name in reversed(error.args[1]))
        circle = f"{first} requires {', which requires '.join(others)}"
        raise FeatureError(
            f"These features require each other, so none can be installed first: {circle}. Remove one name"
            " from REQUIRES, and use that feature's service only while handling a request."
        ) from None
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return ordered
