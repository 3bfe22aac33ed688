"""Commands that run jobs, batches and reports. For cli/; imports watch/ and rendering/."""
