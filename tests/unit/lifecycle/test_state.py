"""The table of the state machine has no row that no job takes. That jobs keep to it, `play` and ModelWorker check."""

from typing import Any

from tests.unit.lifecycle.story import (
    BUSY,
    CANCELLING,
    COMPLETED,
    EXPIRED,
    LOST,
    QUEUED,
    RUNNING,
    STOPPED,
    USUAL,
    asks,
    play,
)
from tests.unit.lifecycle.test_files import JSON, RICH, says

from threadmill.settings.run_limits import RunLimits
from threadmill.settings.supports import Supports
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    CancelRun,
    CreateStore,
    CreateThread,
    Delete,
    Download,
    InspectThread,
    PollRun,
    PollStore,
    ReadAnswer,
    Resolve,
    StartRun,
    SubmitOutputs,
)
from threadmill_worker.lifecycle.observations import (
    Deleted,
    MessageAdded,
    Observation,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    Unknown,
)
from threadmill_worker.lifecycle.progress import Features
from threadmill_worker.lifecycle.state import TRANSITIONS

FILES = Features(uploads=1, search=True)
JOINS = Features(uploads=1, search=True, continues=True)
JOINED: dict[Any, list[Observation]] = {
    InspectThread: [ThreadSeen("vs_theirs")],
    PollStore: [StoreSeen("vs_theirs", ready=True)],
}
READY = StoreSeen("vs_1", ready=True)
LOCKED = Unknown("an active run", locked_by="run_theirs")
SHORT = RunLimits(run_limit_s=60, queued_limit_s=60)
UNSTOPPABLE = RunLimits(run_limit_s=60, queued_limit_s=60, supports=Supports(cancel=False))
TOOLS, LATE = asks("a"), [RUNNING] * 15
CALLS: dict[Any, list[Observation]] = {StartRun: [TOOLS], SubmitOutputs: [BUSY]}

#: What the server says, and further arguments of `play`. Together the jobs take each row of the table.
JOBS: list[tuple[dict[Any, list[Observation]], dict[str, Any]]] = [
    ({}, {"features": Features(uploads=2)}),
    ({PollStore: [StoreSeen("vs_1", ready=False), READY]}, {"features": FILES}),
    ({CreateStore: [READY]}, {"features": FILES}),
    ({CreateStore: [LOST], Resolve: [READY]}, {"features": FILES}),
    ({}, {"features": JOINS}),
    (JOINED, {"features": JOINS}),
    ({**JOINED, AddMessage: [LOST], Resolve: [MessageAdded()]}, {"features": JOINS}),
    *(
        ({CreateThread: [ThreadCreated("t", run)]}, {"features": Features(at_once=True)})
        for run in (RUNNING, TOOLS, COMPLETED)
    ),
    (
        {StartRun: [LOCKED, QUEUED]},
        {"features": Features(continues=True), "limits": RunLimits(on_locked_thread="cancel")},
    ),
    ({StartRun: [EXPIRED, COMPLETED], ReadAnswer: [RICH]}, {"features": Features(steps=True)}),
    *(({StartRun: [LOST], Resolve: [found]}, {}) for found in (RUNNING, TOOLS, COMPLETED)),
    ({PollRun: [EXPIRED, TOOLS, COMPLETED]}, {}),
    *(({PollRun: [RUNNING], CancelRun: [reply]}, {"limits": SHORT}) for reply in (STOPPED, COMPLETED)),
    ({PollRun: [RUNNING]}, {"limits": UNSTOPPABLE}),
    *(
        ({PollRun: [*LATE, reply], CancelRun: [CANCELLING]}, {"limits": SHORT})
        for reply in (CANCELLING, STOPPED, COMPLETED)
    ),
    *(({StartRun: [TOOLS], SubmitOutputs: [reply]}, {}) for reply in (EXPIRED, QUEUED, COMPLETED)),
    *(({StartRun: [TOOLS], SubmitOutputs: [LOST], Resolve: [found]}, {}) for found in (EXPIRED, RUNNING, COMPLETED)),
    *(({**CALLS, CancelRun: [reply]}, {"limits": SHORT}) for reply in (STOPPED, CANCELLING, COMPLETED)),
    (CALLS, {"limits": UNSTOPPABLE}),
    ({ReadAnswer: [says("no"), says('{"n": 1}')]}, {"features": Features(response_format=JSON)}),
    ({ReadAnswer: [RICH], Download: [BUSY, *USUAL[Download]]}, {}),
    (
        {StartRun: [LOST], Resolve: [QUEUED], CancelRun: [CANCELLING], PollRun: [COMPLETED], Delete: [LOST, Deleted()]},
        {"cancel_at": StartRun},
    ),
]


def test_jobs_take_each_transition_of_the_table() -> None:
    taken = {transition for script, options in JOBS for transition in play(script, **options).transitions}
    rows = {(phase, action) for phase, actions in TRANSITIONS.items() for action in actions}
    assert rows - {(phase, action) for phase, action, _ in taken} == set()
    assert {(*row, after) for row in rows for after in TRANSITIONS[row[0]][row[1]]} - taken == set()
