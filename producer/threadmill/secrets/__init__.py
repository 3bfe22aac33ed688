"""Texts without secrets. For all, even errors.py; imports nothing of ours."""
