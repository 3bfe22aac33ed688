"""The events of running jobs, for followers: buffered for each job, and published together.

For attempts, drivers and the process; imports nothing of the other rooms.
"""
