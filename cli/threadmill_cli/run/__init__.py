"""Commands that run jobs, batches and reports. For the entry point; imports watch/ and rendering/."""
