"""Lets redis-py read the version of its package once. It parses a file at each connection, and a test has several."""

from functools import cache

import redis.utils

redis.utils.get_lib_version = cache(redis.utils.get_lib_version)
