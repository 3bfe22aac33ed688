"""The results of a batch in other formats. For cli/; imports batch/results.py."""
