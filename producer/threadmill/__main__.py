"""Runs `threadmill` as `python -m threadmill`."""

from threadmill.cli import main

main()
