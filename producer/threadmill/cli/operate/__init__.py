"""Commands for whoever operates workers. For cli/; imports rendering/ and watch/."""
