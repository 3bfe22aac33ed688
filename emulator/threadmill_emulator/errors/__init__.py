"""Error replies, with the texts of the public servers. For all rooms; imports none."""
