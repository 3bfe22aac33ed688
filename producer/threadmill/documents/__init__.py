"""The inputs of a batch: files, rows, requests, prompts. For batch/ and above; imports readers/ and job/."""

from threadmill.installation import require

require("batch")
