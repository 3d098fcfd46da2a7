"""The startup checks of `app/settings.py` that take more than a few lines. Template-owned."""
