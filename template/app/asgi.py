"""The application object that servers and `hawkapi check app.asgi:app` import."""

from app import logs
from app.main import create_app
from app.settings import load_settings

settings = load_settings()
logs.configure(settings)
app = create_app(settings)
