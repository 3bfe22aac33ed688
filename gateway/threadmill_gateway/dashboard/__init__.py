"""The dashboard: pages for people, live without a build step. `app.py` of the gateway serves them at `/`.

A room for each subject (tonight, batches, jobs, ...) has its routes and what its templates show. All share `page.py`.
They use the library `threadmill`, through the gateway's client.
"""
