"""The Celery app, its task and what Celery needs of us; the entry point, which nothing else imports."""
