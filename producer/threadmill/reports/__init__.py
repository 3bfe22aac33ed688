"""Nightly reports: documents are summarised, the summaries become one report. For cli/; imports batch/ and below."""
