"""Every step on a night of a report. Only who holds its lease changes it.

KEYS[1]: the lease; ARGV[1]: the owner, who got it by SET NX PX.
"""

#: lease in milliseconds -> 1, or 0 if the lease is another's by now, or nobody's
RENEW_NIGHT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

#: KEYS[2]: the nights of the report; date, night as JSON -> 1 or 0 as above
SAVE_NIGHT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""

#: -> 1 or 0 as above
RELEASE_NIGHT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
