"""`python -m securertc` is the command line."""

from .cli import main

main()
