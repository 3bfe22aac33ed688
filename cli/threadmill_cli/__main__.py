"""Runs `threadmill` as `python -m threadmill_cli`."""

from threadmill_cli import main

main()
