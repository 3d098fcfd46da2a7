"""The page handlers. The rules are in the manager."""
