"""PURE: what the phases of a job do next, and make of what is seen. For decide.py, observe.py; imports the values."""
