"""HTTP: requests in, objects and streams out. For app.py; imports state/ and below."""
