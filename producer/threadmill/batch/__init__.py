"""Batches: documents are planned, enqueued, awaited. For export/ and above; imports documents/ and client.py."""

from threadmill.installation import require

require("batch")
