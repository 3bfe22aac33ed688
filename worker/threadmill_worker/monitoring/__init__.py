"""What a worker shows of itself over HTTP: its metrics for Prometheus, and whether it is alive and ready for probes.

Everything else calls `metrics.Metrics`, which counts nothing unless the worker has a port for metrics.
"""
