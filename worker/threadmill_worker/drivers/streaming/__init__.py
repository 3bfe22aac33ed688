"""Reads the event streams of runs. For base/ and the APIs, which say what events mean; imports http/ and replies/."""
