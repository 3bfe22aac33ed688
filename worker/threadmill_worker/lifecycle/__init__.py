"""PURE: what happens to a job next; no I/O, no clock. Imports answer/; of the producer job/, settings/ and records."""
