"""Commands that operate workers and jobs. For cli/; imports rendering/ and watch/."""
