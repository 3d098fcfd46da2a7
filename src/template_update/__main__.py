"""`python -m template_update`, for the tests and for work on the tool."""

from template_update.command import main

main()
