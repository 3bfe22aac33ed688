"""The results of a batch in other formats. For cli/; imports batch/results.py."""

from threadmill.installation import require

require("batch")
