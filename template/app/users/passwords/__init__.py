"""Which passwords are accepted, and how they are stored."""
