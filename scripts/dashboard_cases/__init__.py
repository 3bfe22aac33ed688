"""What `scripts/bench dashboard` measures: a Redis full of jobs, and the pages that show them."""
