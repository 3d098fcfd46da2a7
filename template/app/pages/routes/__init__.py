"""The handlers of the pages. They hold no rules: the manager does."""
