"""The cases of `scripts/bench speed`, its contestants, and the server that all of them call."""
