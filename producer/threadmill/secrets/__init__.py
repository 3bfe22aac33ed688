"""Redacts secrets in texts. For all, even errors.py; imports nothing of ours."""
