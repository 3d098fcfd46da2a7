"""The application object that servers and `hawkapi check app.asgi:app` import."""

import sys

from app import logs
from app.main import create_app
from app.settings import load_settings
from app.web.framework.handler_checks import RouteError

settings = load_settings()
logs.configure(settings)
try:
    app = create_app(settings)
except RouteError as error:
    # Print only the message, which says what to change. Otherwise, the server would print a traceback.
    sys.exit(str(error))
