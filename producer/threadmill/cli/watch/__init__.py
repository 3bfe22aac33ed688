"""Commands that show jobs and batches. For cli/ and run/; imports rendering/."""
