"""PURE: decides what follows when a call fails or a run brings no answer. For decide.py and observe.py."""
