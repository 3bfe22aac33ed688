"""One module per format: outcomes in, an open file out. For export.py and cli/; imports outcomes.py."""
