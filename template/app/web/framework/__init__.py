"""HawkAPI 0.2, repaired: see README.md in this folder. Nothing here is about your application."""
