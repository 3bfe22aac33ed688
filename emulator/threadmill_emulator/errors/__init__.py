"""Error replies, with the texts of the public servers. For all; imports no other room."""
