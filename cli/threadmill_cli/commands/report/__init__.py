"""`threadmill report`. For the entry point; imports batch/."""
