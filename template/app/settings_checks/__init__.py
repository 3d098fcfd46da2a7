"""Types, checks and the error report for `app/settings.py`. Template-owned."""
