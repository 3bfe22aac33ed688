"""Reads the event streams of runs. assistants/ and responses/ import it, and say what their events mean."""
