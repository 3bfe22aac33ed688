"""The native routes: jobs, their events, batches. app.py imports them; they import callers, state and problems."""
