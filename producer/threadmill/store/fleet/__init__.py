"""Workers, pools, what queued jobs wait for, and numbers. For store.py; imports jobs/ and connection.py."""
