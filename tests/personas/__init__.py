"""People who edited their project before an update came: who they are, and what they changed."""
