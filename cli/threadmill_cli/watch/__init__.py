"""Commands that show jobs and batches. For the entry point and run/; imports rendering/."""
