"""`python -m threadmill_worker.attempt.single_job`: runs one job in a separate process, for own_process.py.

Reads a line of JSON from stdin, `{"settings", "job_id", "owner", "log_level"}`. Exits with 0 once the job has ended or
another process has its lease. When stdin is closed, because the worker stops or has ended, it hands the job back
and exits with HANDED_BACK.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from typing import Any

from threadmill import log
from threadmill.job.result import JobResult
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill.tracing import sdk
from threadmill_worker.attempt.attempts import Attempts, heartbeat_s
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.own_process import HANDED_BACK, REDIS_WAS_AWAY
from threadmill_worker.attempt.tasks import repeat, stop
from threadmill_worker.event_loop import new_event_loop
from threadmill_worker.lifecycle.actions import LANDING_S
from threadmill_worker.live.publisher import EventPublisher
from threadmill_worker.store.batch_lane import LaneStore
from threadmill_worker.store.jobs import JobStore, Lease
from threadmill_worker.tools import registry
from threadmill_worker.tracing.jobs import JobSpan
from threadmill_worker.watchdog import Watchdog

#: How long handing back may take, in seconds. The process then ends without it.
LEAVE_S = LANDING_S + 5.0


def main() -> None:
    request = json.loads(sys.stdin.readline())
    log.configure(request["log_level"])
    tracing = sdk.start("threadmill-worker")
    settings = Settings.model_validate(request["settings"])
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        code = runner.run(_run(settings, Lease(request["job_id"], request["owner"])))
    tracing.stop()
    sys.stderr.flush()
    os._exit(code)  # threads of tools must not keep the process alive


async def _run(settings: Settings, lease: Lease) -> int:
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    threading.Thread(target=_await_end, args=(loop, leaving), daemon=True).start()
    name = f"{socket.gethostname()}:{os.getpid()}"
    job_store = JobStore(settings, name)
    live = EventPublisher(job_store.publish, job_store.is_followed)
    servers = Contexts(settings, registry.load(settings), job_store, live)
    attempts = Attempts(job_store, servers, LaneStore(settings, name, job_store.redis, job_store.clock.now))
    Watchdog(loop, threading.main_thread(), settings.blocked_limit_s).start()

    async def beat() -> None:
        live.follow(await attempts.renew())

    await job_store.read_clock()
    record = await job_store.get(lease.job_id)
    if record is None or record.owner != lease.owner:
        return 0
    running = asyncio.create_task(_traced(settings, record, attempts.run(lease, attempts.execute(lease, record))))
    beating, leave_requested = repeat(heartbeat_s(settings), beat), asyncio.create_task(leaving.wait())
    await asyncio.wait([running, leave_requested], return_when=asyncio.FIRST_COMPLETED)
    awaited: set[asyncio.Task[Any]] = {running}
    running.add_done_callback(awaited.discard)
    await attempts.hand_back(awaited)
    await stop([beating, leave_requested], [beating])
    await servers.close()
    await job_store.close()
    if running.exception() is not None:
        return REDIS_WAS_AWAY
    return HANDED_BACK if attempts.handed_back else 0


async def _traced(
    settings: Settings, record: JobRecord, execution: Coroutine[Any, Any, JobResult | None]
) -> JobResult | None:
    with JobSpan(settings.queue, record.id) as span:
        span.begin(record)
        result = await execution
        span.ended(result)
        return result


def _await_end(loop: asyncio.AbstractEventLoop, leaving: asyncio.Event) -> None:
    """Waits until the worker closes stdin or ends, then asks the process to leave, and ends it after LEAVE_S."""
    sys.stdin.read()
    loop.call_soon_threadsafe(leaving.set)
    threading.Event().wait(LEAVE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
