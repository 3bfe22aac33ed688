"""The gateway: jobs over HTTP. `serve.py` runs it, `app.py` assembles it. The command `threadmill gateway` imports it.

It uses the library `threadmill`, as any service would: it runs no jobs and calls no server.
"""
