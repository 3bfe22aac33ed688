"""PURE: decides what happens to a job next; no I/O, no clock.

Imports answer/, and from the producer job/, settings/ and the records.
"""
