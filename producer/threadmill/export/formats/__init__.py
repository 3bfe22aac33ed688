"""One module per format: results in, an open file out. For export.py and cli/; imports results_reader.py."""
