"""`threadmill doctor`. For the entry point; imports discovery.py."""
