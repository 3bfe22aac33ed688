"""What a change of jobs is called, by the state in which it left a job."""

from threadmill.job.result import JobState

CANCELLED = {JobState.CANCELLED: "cancelled", JobState.RUNNING: "being cancelled"}
REDRIVEN = {JobState.QUEUED: "queued"}
