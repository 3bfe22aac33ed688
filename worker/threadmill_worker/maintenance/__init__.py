"""The periodic steps of a worker: the sweep and the batch lane. For process.py; imports attempt/ and below."""
