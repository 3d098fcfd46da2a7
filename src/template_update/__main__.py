"""`python -m template_update`, for testing and developing the tool."""

from template_update.command import main

main()
