"""Nightly reports, each made from batches. For cli/; imports rendering/, batch/ and documents/."""

from threadmill.installation import require

require("batch")
