"""What `app/settings.py` needs besides the settings: types, checks and the error report. Template-owned."""
