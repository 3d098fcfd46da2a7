"""`python -m template_update`, for tests and development of the tool."""

from template_update.command import main

main()
