"""The records in Redis: their keys, values and scripts. For client.py and the worker; imports settings/ and job/."""
