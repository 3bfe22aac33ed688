"""Reads the event streams of runs. assistants/ and responses/ import it, and define the meaning of their events."""
