"""The rules for passwords, and how passwords are stored."""
