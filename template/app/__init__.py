"""The application. A feature is a package in this folder that defines `install(app)` (see `app/main.py`)."""

__version__ = "0.1.0"
"""Change this with every release. The OpenAPI document and the package metadata both use it."""
