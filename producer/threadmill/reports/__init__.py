"""Nightly reports: a document set is summarised, the summaries become one report."""
