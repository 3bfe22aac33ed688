"""`threadmill jobs`. For the entry point and submit.py."""
