"""Reads what all servers say alike: JSON, errors, rate limits, missing paths. For the other rooms; imports none."""
