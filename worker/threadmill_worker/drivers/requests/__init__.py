"""What all requests for a job are made of: its description, notes, tags, tiers. For all drivers; imports replies/."""
