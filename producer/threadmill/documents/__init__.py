"""What a batch is made of: files, rows, requests, prompts. For batch/ and above; imports readers/ and job/."""

from threadmill.installation import require

require("batch")
