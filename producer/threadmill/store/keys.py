"""The names of all Redis keys, for producers, workers and the scripts in lua/.

A key is an attribute of Keys, in Python and in a script: `keys.leases`, `keys.record(job_id)`.
"""

from collections.abc import Callable

#: The part after the prefix; `{}` stands for a value.
_JOB, _BATCH, _REPORT, _POOL = "job:{}", "batch:{}", "reports:{}", "pool:{}"


class Key:
    """The name of a key."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, keys: "Keys", owner: type["Keys"]) -> str:
        return f"{keys.prefix}:{self.name}"


class KeyOf:
    """The names of the keys of jobs, batches or others. `name` has `{}` for each value that differs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, keys: "Keys", owner: type["Keys"]) -> Callable[..., str]:
        before, *after = self.name.split("{}")
        return lambda *values: (
            f"{keys.prefix}:{before}" + "".join(f"{value}{text}" for value, text in zip(values, after, strict=True))
        )


class Keys:
    """The names of the keys under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    # Jobs
    record = KeyOf(_JOB)  #: hash: job, state, attempts, owner, progress, result, times
    events = KeyOf(_JOB + ":events")  #: stream: changes of its state, while calls wait for the job or follow it
    live = KeyOf(_JOB + ":live")  #: stream: events while it runs, for its followers: job/events/
    followed = KeyOf(_JOB + ":followed")  #: string: somebody follows the job; expires soon unless renewed
    awakened = KeyOf("awakened:{}")  #: stream: wakes the process that reads the streams of many jobs; expires
    revoked = KeyOf("revoked:{}")  #: string: a Celery client revoked this task before it became a job; expires
    jobs = KeyOf("jobs:{}")  #: zset: ids of the jobs in a state, by the time they changed to it
    tenant_jobs = KeyOf("tenant:{}:{}")  #: zset: ids of the `open` or `ended` jobs that name a tenant, by creation
    idempotency = KeyOf("key:{}")  #: string: the id of the job with this idempotency key
    leases = Key("leases")  #: zset: running jobs by the time their lease expires
    turns = KeyOf("turns:{}")  #: zset: the open jobs on a thread (ENDPOINT/THREAD) in the order of their turns
    slots = Key("slots")  #: hash: workers and how many more jobs each can run, until when this counts
    sweep = Key("sweep")  #: string: lease of the sweep: the worker that holds it
    workers = Key("workers")  #: hash: what each live worker announces, as JSON
    dead_letters = Key("dead_letters")  #: list: dead letters as JSON, the newest first; they expire
    dead_letters_count = Key("dead_letters:count")  #: string: their number, including those no longer kept

    # The ready queue; see lua/include/queue.lua
    tenants = KeyOf("tenants:{}")  #: zset: tenants with ready jobs of a priority, by the time of their last turn
    flows = KeyOf("tenants:{}:{}")  #: zset: flows of a priority and a tenant, likewise
    queue_counts = Key("queue_counts")  #: hash: how many jobs of each priority are ready; how many were ever `created`
    waiting_since = KeyOf("waiting_since:{}")  #: zset: flows of a priority, by the time their oldest job became ready
    flow = KeyOf("flow:{}")  #: zset: ready jobs of a flow, by the time they arrived
    limited = Key("limited")  #: hash: flows that waited for a limit, for how long, and since when
    dispatched = Key("dispatched")  #: zset: jobs with a message that no worker has claimed, by the time it was sent
    dispatch_pass = Key("dispatch_pass")  #: string: how far a pass over the flows has come that several scripts make
    delayed = Key("delayed")  #: zset: jobs by their start time
    ready_deadlines = Key("ready_deadlines")  #: zset: ready jobs with a deadline, by it

    # Batches
    batches = Key("batches")  #: zset: names of batches by the time a job last changed its state
    batches_open = Key("batches_open")  #: zset: those with jobs that have not ended, by the time one was queued
    batch = KeyOf(_BATCH)  #: hash: its counters: store/records/batch.py
    batch_jobs = KeyOf(_BATCH + ":jobs")  #: zset: its job ids
    batch_done = KeyOf(_BATCH + ":done")  #: stream: its finished jobs
    batch_failed = KeyOf(_BATCH + ":failed")  #: zset: ids of its jobs that failed, by their end
    batch_stats = KeyOf(_BATCH + ":stats")  #: hash: numbers of its jobs that ended: store/records/stats.py
    batch_shared = KeyOf(_BATCH + ":shared")  #: hash: objects that its jobs share, or the job that creates one, as JSON
    batch_seen_to = KeyOf(_BATCH + ":seen_to")  #: string: a command enqueues its documents or waits for them; expires

    # Statistics; a KIND is that of a failure
    #: hash: numbers of jobs that ended in an hour since 1970: store/records/stats.py; expires
    stats = KeyOf("stats:{}")
    failed_jobs = KeyOf("failed_jobs:{}")  #: zset: ids of the jobs that failed with a KIND, by their end

    # The batch lane; a LANE is named as a pool: settings/pools.py
    lanes = Key("lanes")  #: set: the lanes in which jobs wait
    lane = KeyOf("lane:{}")  #: zset: these jobs by the time they entered
    lane_deadlines = Key("lane_deadlines")  #: zset: jobs in all lanes by the time they fail as overdue
    remote_batches = Key("remote_batches")  #: hash: unfinished remote batches as JSON, by name
    remote_batch = KeyOf("remote_batch:{}")  #: set: its job ids
    remote_batch_held = KeyOf("remote_batch:{}:held")  #: string: its lease

    # Polling
    durations = KeyOf("durations:{}")  #: list: how long the last runs of ENDPOINT/ASSISTANT/MODEL took, in s; expires
    durations_names = Key("durations")  #: zset: the names of these lists, by the time of their last use; bounded

    # Webhooks of servers; a RUN is named ENDPOINT/RUN: lua/include/webhooks.lua
    awaited = KeyOf("awaited:{}")  #: string: the job that awaits the end of a run, for a while '' after it; expires
    ended_early = KeyOf("ended_early:{}")  #: string: a run has ended that no job awaits yet; expires soon
    webhooks = KeyOf("webhooks:{}")  #: string: webhooks arrive for the runs of an endpoint; expires
    woken = KeyOf("woken:{}")  #: list: JOB ENDPOINT RUN, ended runs that a worker has to poll now; expires soon
    ended_batches = KeyOf("ended_batches:{}")  #: list: ended remote batches of an endpoint, likewise, for any worker

    # Remote objects
    leftovers = Key("leftovers")  #: zset: objects to delete, by the time of the next attempt (inf: given up)
    leftover_attempts = Key("leftovers:tries")  #: hash: failed attempts to delete each
    threads = Key("threads")  #: hash: kept threads as JSON, by ENDPOINT/THREAD; local ones are removed some time
    local_threads = Key("local_threads")  #: zset: those whose messages only Redis has, by the time they expire
    transcript = KeyOf("transcript:{}")  #: string: the items of a chain or local thread as JSON; the latter expires
    assistants = Key("assistants")  #: hash: assistants of applied profiles as JSON, by ENDPOINT/PROFILE; never expire

    # Callbacks
    callbacks = KeyOf("callbacks:{}")  #: zset: ids of the deliveries in a state; `pending` by the time they are due
    callback = KeyOf("callback:{}")  #: hash: a delivery: store/records/callback.py; expires after its end

    # Limits; a pool is the share of a server that one set of limits applies to: settings/pools.py
    pools = Key("pools")  #: zset: names of pools by the time of their last use
    pool = KeyOf(_POOL)  #: hash: its limits and what was learned: lua/include/pools.lua; expires after its last use
    pool_jobs = KeyOf(_POOL + ":jobs")  #: hash: dispatched job -> "RESERVED ESTIMATED" tokens, "" before a start
    pool_starts = KeyOf(_POOL + ":starts")  #: zset: starts without a reply, by the time they count as accepted
    endpoints_paused = Key("endpoints_paused")  #: hash: endpoint -> why an operator paused it, or ""

    # The gateway
    api_keys = Key("api_keys")  #: hash: API keys as JSON, by name: job/api_key.py; they never expire
    api_key_requests = KeyOf("api_key:{}:requests")  #: string: when a key by its id may make all requests of a minute
    session = KeyOf("session:{}")  #: string: the id of the API key that opened it, by the hash of its token; expires

    # Uploads
    upload = KeyOf("upload:{}")  #: string: an upload as JSON: job/upload.py; expires
    upload_jobs = KeyOf("upload:{}:jobs")  #: hash: jobs that use it -> when they were enqueued; "": it has been used
    uploads = Key("uploads")  #: zset: ids of all uploads by creation; may have ids that have expired
    owned_uploads = KeyOf("uploads:{}")  #: zset: likewise, of one owner
    uploads_due = Key("uploads_due")  #: zset: ids by the time to see whether the file can be deleted

    # Batches whose jobs are the lines of an upload
    file_batch = KeyOf("file_batch:{}")  #: hash: a batch and the state of its lines: job/file_batch.py; expires
    file_batch_held = KeyOf("file_batch:{}:held")  #: string: the lease of the gateway that enqueues its lines
    file_batches = Key("file_batches")  #: zset: ids of all by creation; may have ids that have expired
    owned_file_batches = KeyOf("file_batches:{}")  #: zset: likewise, of one owner
    file_batches_open = Key("file_batches_open")  #: zset: those with lines that a gateway has to see to

    # Reports
    reports = Key("reports")  #: hash: name of a report -> the time since when it is scheduled
    report = KeyOf(_REPORT)  #: hash: its nights as JSON, by date
    report_held = KeyOf(_REPORT + ":{}:held")  #: string: the lease of a night; expires unless renewed


def celery_key(job_id: str) -> str:
    """Returns the key, and channel, of a task's result in Celery's Redis backend."""
    return f"celery-task-meta-{job_id}"


def thread_name(endpoint: str, thread_id: str) -> str:
    """Returns the name of a thread that is unique across endpoints; its jobs take turns under this name."""
    return f"{endpoint}/{thread_id}"


def applied_name(endpoint: str, profile: str) -> str:
    """Returns the name of an applied profile that is unique across endpoints. Names of profiles have no slash."""
    return f"{endpoint}/{profile}"
