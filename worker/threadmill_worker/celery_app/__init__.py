"""The Celery app, its task, and what this worker changes in Celery. The entry point; no other room imports it."""
