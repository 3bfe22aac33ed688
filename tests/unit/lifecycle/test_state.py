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

from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill.settings.endpoints.supports import Supports
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.progress import Features
from threadmill_worker.lifecycle.state import TRANSITIONS

FILES = Features(uploads=1, search=True)
JOINS = Features(uploads=1, search=True, continues=True)
JOINED: dict[Any, list[obs.Observation]] = {
    act.InspectThread: [obs.ThreadSeen("vs_theirs")],
    act.PollStore: [obs.StoreSeen("vs_theirs", ready=True)],
}
READY = obs.StoreSeen("vs_1", ready=True)
LOCKED = obs.Unknown("an active run", locked_by="run_theirs")
SHORT = RunLimits(run_limit_s=60, queued_limit_s=60)
UNSTOPPABLE = RunLimits(run_limit_s=60, queued_limit_s=60, supports=Supports(cancel=False))
TOOLS, LATE = asks("a"), [RUNNING] * 15
CALLS: dict[Any, list[obs.Observation]] = {act.StartRun: [TOOLS], act.SubmitOutputs: [BUSY]}

#: What the server says, and further arguments of `play`. Together the jobs take each row of the table.
JOBS: list[tuple[dict[Any, list[obs.Observation]], dict[str, Any]]] = [
    ({}, {"features": Features(uploads=2)}),
    ({act.PollStore: [obs.StoreSeen("vs_1", ready=False), READY]}, {"features": FILES}),
    ({act.CreateStore: [READY]}, {"features": FILES}),
    ({act.CreateStore: [LOST], act.Resolve: [READY]}, {"features": FILES}),
    ({}, {"features": JOINS}),
    (JOINED, {"features": JOINS}),
    ({**JOINED, act.AddMessage: [LOST], act.Resolve: [obs.MessageAdded()]}, {"features": JOINS}),
    *(
        ({act.CreateThread: [obs.ThreadCreated("t", run)]}, {"features": Features(at_once=True)})
        for run in (RUNNING, TOOLS, COMPLETED)
    ),
    (
        {act.StartRun: [LOCKED, QUEUED]},
        {"features": Features(continues=True), "limits": RunLimits(on_locked_thread="cancel")},
    ),
    ({act.StartRun: [EXPIRED, COMPLETED], act.ReadAnswer: [RICH]}, {"features": Features(steps=True)}),
    *(({act.StartRun: [LOST], act.Resolve: [found]}, {}) for found in (RUNNING, TOOLS, COMPLETED)),
    ({act.PollRun: [EXPIRED, TOOLS, COMPLETED]}, {}),
    *(({act.PollRun: [RUNNING], act.CancelRun: [reply]}, {"limits": SHORT}) for reply in (STOPPED, COMPLETED)),
    ({act.PollRun: [RUNNING]}, {"limits": UNSTOPPABLE}),
    *(
        ({act.PollRun: [*LATE, reply], act.CancelRun: [CANCELLING]}, {"limits": SHORT})
        for reply in (CANCELLING, STOPPED, COMPLETED)
    ),
    *(({act.StartRun: [TOOLS], act.SubmitOutputs: [reply]}, {}) for reply in (EXPIRED, QUEUED, COMPLETED)),
    *(
        ({act.StartRun: [TOOLS], act.SubmitOutputs: [LOST], act.Resolve: [found]}, {})
        for found in (EXPIRED, RUNNING, COMPLETED)
    ),
    *(({**CALLS, act.CancelRun: [reply]}, {"limits": SHORT}) for reply in (STOPPED, CANCELLING, COMPLETED)),
    (CALLS, {"limits": UNSTOPPABLE}),
    ({act.ReadAnswer: [says("no"), says('{"n": 1}')]}, {"features": Features(response_format=JSON)}),
    ({act.ReadAnswer: [RICH], act.Download: [BUSY, *USUAL[act.Download]]}, {}),
    (
        {
            act.StartRun: [LOST],
            act.Resolve: [QUEUED],
            act.CancelRun: [CANCELLING],
            act.PollRun: [COMPLETED],
            act.Delete: [LOST, obs.Deleted()],
        },
        {"cancel_at": act.StartRun},
    ),
]


def test_jobs_take_each_transition_of_the_table() -> None:
    taken = {transition for script, options in JOBS for transition in play(script, **options).transitions}
    rows = {(phase, action) for phase, actions in TRANSITIONS.items() for action in actions}
    assert rows - {(phase, action) for phase, action, _ in taken} == set()
    assert {(*row, after) for row in rows for after in TRANSITIONS[row[0]][row[1]]} - taken == set()
