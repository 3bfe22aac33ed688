"""The parts of `scripts/bench million`."""
