"""The OpenAI-compatible routes: models, and a room each for responses, chat completions, and files with batches.

Translations are pure: requests to jobs, records and events to OpenAI's objects. app.py imports the routes; they import
files/ and requests/. batches/ imports the requests of the other two rooms.
"""
