"""The kept threads: their conversations, as our records have them."""
