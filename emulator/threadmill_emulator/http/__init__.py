"""HTTP: requests, routes, replies and streams. For app.py; imports state/ and below."""
