"""The application as servers and `hawkapi check app.asgi:app` import it."""

from app import logs
from app.main import create_app
from app.settings import load_settings

settings = load_settings()
logs.configure(settings)
app = create_app(settings)
