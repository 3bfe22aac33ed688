"""PURE: decides what follows when a call fails or a run brings no answer. For all of lifecycle/ and above."""
