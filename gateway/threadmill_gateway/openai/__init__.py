"""The OpenAI-compatible routes: models, responses, chat completions.

Translations are pure: requests to jobs, records and events to OpenAI's objects. app.py imports the routes; they import
callers, state and problems.
"""
