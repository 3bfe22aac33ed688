"""The cases of `scripts/bench limits`: each yields what it measured, with what it must be."""
