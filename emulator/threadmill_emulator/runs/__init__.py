"""Threads and runs; a response is one stretch of a run. For responses/ and above; imports content/ and below."""
