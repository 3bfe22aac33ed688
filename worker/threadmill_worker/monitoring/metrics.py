"""What happens in a worker, as far as it is counted. `Metrics` itself counts nothing; prometheus.py counts."""

from threadmill.job.result import JobResult


class Metrics:
    """Counts nothing: the worker has no port for metrics. Durations are in seconds."""

    def job_claimed(self) -> None:
        """A job was claimed."""

    def job_ended(self, result: JobResult) -> None:
        """This worker has ended a job."""

    def job_handed_back(self) -> None:
        """A job was returned to the queue, because the worker stops."""

    def lease_lost(self) -> None:
        """Another worker has claimed or ended a job that ran here."""

    def job_rescued(self) -> None:
        """A job of a dead worker was returned to the queue."""

    def run_ended(self, endpoint: str, took_s: float) -> None:
        """A run was seen to have ended that took so long."""

    def result_stored(self, endpoint: str, lag_s: float) -> None:
        """The result of a job was stored, so long after the end of its last run."""

    def called(self, endpoint: str, status: str, took_s: float) -> None:
        """A call to a server has ended. `status`: `2xx`, the status of an error, `timeout` or `connection`."""

    def start_refused(self, endpoint: str) -> None:
        """A server refused a start, or ended a run, because of a rate limit."""

    def tool_called(self, tool: str, outcome: str) -> None:
        """A tool call has ended. `outcome`: `ok`, `failed` or `timeout`."""

    def callback_sent(self, outcome: str) -> None:
        """A callback was attempted. `outcome`: `delivered`, `failed` or `dead`."""


#: For what has no port for metrics.
UNCOUNTED = Metrics()
