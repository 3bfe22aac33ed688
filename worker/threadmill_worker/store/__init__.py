"""The worker's steps on the records in Redis. For attempt/ and above; imports lifecycle/progress.py."""
