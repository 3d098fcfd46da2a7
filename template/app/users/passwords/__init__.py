"""Password rules and password storage."""
