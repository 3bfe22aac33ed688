"""The Celery app, its task and its extensions of Celery. The entry point; no other room imports it."""
