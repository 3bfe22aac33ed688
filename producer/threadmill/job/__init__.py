"""The contract, values only: a job, its result, its events. For all above errors.py; imports secrets/ alone."""
