"""The Celery app and its task.

All jobs of a process run in one event loop. The pool starts them there: see pool.py. For a message of another Celery
client, a thread waits for the end of its job.
"""

import socket
import uuid
from typing import Any

from celery import Celery, Task
from celery.utils.nodenames import nodename

from threadmill.celery_worker import Worker
from threadmill.queue import TASK, make_app
from threadmill.settings.settings import Settings
from threadmill_worker.celery_app import control, pool, transport
from threadmill_worker.celery_app.request import JobFailed, result_backend, succeeded
from threadmill_worker.celery_app.runtime import Runtime


def make_worker_app(
    settings: Settings, *, is_supervised: bool = False, monitoring_socket: socket.socket | None = None
) -> Celery:
    """Returns the Celery app of a worker, with its task. Make at most one per Python process.

    `is_supervised`: a second signal has no effect, because the supervisor, and systemd, may both send the first one.
    `monitoring_socket`: where to answer probes and scrapes, if the supervisor has the ports for them.
    """
    transport.install()
    app = make_app(settings)
    app.conf.update(
        broker_transport=None,  # so that the scheme of the URL selects a transport of this package
        result_backend=result_backend(app.conf.result_backend),
        worker_consumer="threadmill_worker.celery_app.consumer:Consumer",
        worker_pool="threadmill_worker.celery_app.pool:JobPool",
        broker_transport_options=app.conf.broker_transport_options | transport.options(settings),
        worker_send_task_events=True,  # so that monitors see jobs without `celery control enable_events`
    )
    app.Worker = app.subclass_with_self(_Worker, name="Worker")
    runtime = Runtime(settings, is_supervised, monitoring_socket)
    control.cancel_by(runtime.cancel)
    pool.start_by(runtime.start)

    @app.task(  # type: ignore[untyped-decorator]
        name=TASK,
        bind=True,
        typing=False,
        throws=(JobFailed,),
        store_errors_even_if_ignored=True,  # for tasks chained after a job; ResultBackend stores none of a job itself
        Request="threadmill_worker.celery_app.request:Request",
    )
    def run_job(task: Task, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs a job. The id of the task is the id of the job.

        Takes one argument, also as `job=`: the job's id if threadmill's client sent it, or the job's fields. Raises
        JobFailed or JobCancelled for a job that did not succeed, and Ignore if another delivery returns its result.
        """
        return succeeded(runtime.run(task.request, args, kwargs)).model_dump(mode="json")

    return app


class _Worker(Worker):
    def default_hostname(self) -> str:
        """Returns a unique name; otherwise monitors would show two workers of a machine as one."""
        return str(nodename(f"threadmill-{uuid.uuid4().hex[:8]}", socket.gethostname()))
