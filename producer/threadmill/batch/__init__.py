"""Batches: jobs for a document set, their results in a file and in other formats. For reports/ and cli/."""
