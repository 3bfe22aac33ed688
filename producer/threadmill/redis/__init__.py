"""Connects to Redis: URLs, clients, errors. For settings/ and above; imports no other room."""
