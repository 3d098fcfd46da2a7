"""The application as servers and `hawkapi check app.asgi:app` import it."""

from app.main import create_app

app = create_app()
