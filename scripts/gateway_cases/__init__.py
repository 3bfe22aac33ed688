"""What `scripts/bench gateway` measures, and with what it compares."""
