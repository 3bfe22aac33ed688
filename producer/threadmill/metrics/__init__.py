"""The numbers for Prometheus: what they are called. The gateway and the worker import it; it imports nothing."""
