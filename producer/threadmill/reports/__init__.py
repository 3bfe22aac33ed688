"""Nightly reports, each made from batches. For cli/; imports rendering/, batch/ and documents/."""
