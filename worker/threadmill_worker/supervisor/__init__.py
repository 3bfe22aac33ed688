"""Several worker processes under one supervisor: `threadmill worker --processes N`. Only `__main__` imports it.

The supervisor imports neither Celery nor openai, so it takes little memory.
"""
