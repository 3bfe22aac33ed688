"""The native routes: jobs, their events, batches. app.py imports them; they import files/ and requests/."""
