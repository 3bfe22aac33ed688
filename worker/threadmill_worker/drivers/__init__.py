"""Calls to servers; the only importers of openai. For attempt/ and above; imports lifecycle/, files/ and answer/."""
