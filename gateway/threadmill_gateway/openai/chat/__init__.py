"""Chat completions: requests as jobs, jobs as completions, and the routes. app.py imports the routes."""
