"""The records in Redis: keys, values, steps. For client.py and the worker; imports settings/ and job/."""
