"""The spans of a worker: of a job, its runs, tool calls and HTTP calls. Imports the lifecycle's values."""
