"""The users routes, by what they are for."""
