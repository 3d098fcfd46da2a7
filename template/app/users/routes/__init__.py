"""The users routes, grouped by purpose."""
