"""Finds out what a server speaks and offers, and the settings for it. For `threadmill doctor` and `threadmill init`.

`discover.py` asks; the replies are judged, and the settings written, by pure modules. Only the commands import it.
"""
