"""`python -m threadmill` is `threadmill`."""

from threadmill.cli import main

main()
