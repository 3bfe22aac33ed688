"""Commands that operate workers and jobs. For the entry point; imports rendering/ and watch/."""
