"""An example module: notes that belong to a user. It is yours to learn from, rename or delete.

It shows the parts of a module: a table (`models.py`), request and response bodies (`schemas.py`), routes that
require a login (`routes.py`), `install` below, a migration (`migrations/versions/app_0002_notes.py`) and
tests (`tests/notes`).
"""

from app.notes.routes import router
from app.web import App

REQUIRES = ("users",)
"""Features to install before this one so that `install` can use what they add to `app.state`."""


def install(app: App) -> None:
    """Mount the routes. `app/main.py` calls every feature's `install`."""
    app.include_router(router)
    app.tag_descriptions["notes"] = "The example module: notes that belong to you."
