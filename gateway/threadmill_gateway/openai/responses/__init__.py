"""Responses: requests as jobs, jobs as responses, and the routes. app.py imports the routes."""
