"""Files and batches: lines as jobs, jobs as lines, and the routes. app.py imports the routes."""
