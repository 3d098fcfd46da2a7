"""What `app/settings.py` checks at start that takes more than a line. Template-owned."""
