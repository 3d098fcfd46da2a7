"""An example module: notes that belong to a user. Copied once and yours: learn from it, rename it, delete it.

It shows what a module needs: a table (`models.py`), what goes in and out (`schemas.py`), routes behind a
login (`routes.py`), `install` below, a migration (`migrations/versions/app_0002_notes.py`) and tests
(`tests/notes`).
"""

from app.notes.routes import router
from app.web import App

REQUIRES = ("users",)
"""Features that are installed before this one, so that `install` can use what they put at `app.state`."""


def install(app: App) -> None:
    """Mount the routes. `app/main.py` calls this for every package under `app/`."""
    app.include_router(router)
