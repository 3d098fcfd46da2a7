"""`python -m app.cli` is the same as `app`."""

from app.cli import main

if __name__ == "__main__":  # The workers of `app dev` import this module under another name.
    main()
