"""Fixes for HawkAPI 0.2: see README.md in this folder. Nothing here is specific to your application."""
