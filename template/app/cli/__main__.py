"""`python -m app.cli` is the same as `app`."""

from app.cli import main

main()
