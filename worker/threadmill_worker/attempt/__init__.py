"""Executes jobs, each from its claim to its result. Imports drivers, tools, store and below."""
