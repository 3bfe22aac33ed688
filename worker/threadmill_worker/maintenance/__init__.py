"""The periodic steps of a worker: the sweep, the lane, its own check. For process.py; imports attempt/ and below."""
