"""Users who edited their project before an update: who they are and what they changed."""
