"""Waits for jobs and follows them from an event loop: one reader for all watched jobs of a client.

AsyncClient imports it. It imports the store, and job for the events.
"""
