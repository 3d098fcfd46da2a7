"""The application. A feature is a package in this folder whose `install(app)` joins it (`app/main.py`)."""

__version__ = "0.1.0"
"""Yours to raise; the OpenAPI document and the package carry it."""
