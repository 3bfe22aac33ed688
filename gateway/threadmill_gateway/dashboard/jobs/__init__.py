"""`/jobs`: the lists of jobs, and one job with all that is known about it."""
