"""The producer's operations on jobs and what belongs to them. For store.py and watching/; imports connection.py."""
