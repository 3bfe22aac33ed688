"""The state machine of a job: its phases, and the actions that lead from one to another. PURE.

`phase_of` derives the phase from the progress. The tests play jobs and check each of their steps against TRANSITIONS.
"""

from collections.abc import Mapping, Set
from enum import StrEnum

from threadmill_worker.lifecycle.actions import (
    Action,
    AddMessage,
    AttachStore,
    CallTools,
    CancelRun,
    CreateStore,
    CreateThread,
    Delete,
    Download,
    InspectThread,
    NameFile,
    PollRun,
    PollStore,
    ReadAnswer,
    ReadSteps,
    Resolve,
    StartRun,
    SubmitOutputs,
    Unlock,
    Upload,
    Wait,
)
from threadmill_worker.lifecycle.observations import ENDED
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.steps.setup import is_set_up


class Phase(StrEnum):
    SETTING_UP = "setting up"  #: files are uploaded and made searchable
    ASKING = "asking"  #: the thread and its messages are created, and a run is started
    RUNNING = "running"  #: the run is queued or in progress; it is polled
    CALLING_TOOLS = "calling tools"  #: the run needs the outputs of tool calls
    STOPPING = "stopping"  #: the run exceeded its limits and was asked to stop
    READING = "reading"  #: the run has an answer, which is read with its files
    CLEANING_UP = "cleaning up"  #: the outcome is known; the run is stopped, and leftovers are deleted


def phase_of(progress: Progress) -> Phase:
    run = progress.run
    if progress.outcome is not None:
        return Phase.CLEANING_UP
    if progress.answer is not None or (run is not None and run.status in ENDED):
        return Phase.READING
    if run is None:
        return Phase.ASKING if is_set_up(progress) else Phase.SETTING_UP
    if run.cancel_requested_at is not None:
        return Phase.STOPPING
    return Phase.CALLING_TOOLS if run.calls else Phase.RUNNING


#: For actions that lead to no other phase.
_STAYS: Set[Phase] = frozenset()

#: Phase, action -> the other phases that the action may lead to. A phase may also stay: the call failed, or more calls
#: are needed. From each phase an outcome leads to CLEANING_UP: the answer, a failure, a cancellation or the deadline.
#: A later phase leads back to ASKING if a run brought no answer. `Resolve` finds out what a call with a lost reply did.
TRANSITIONS: Mapping[Phase, Mapping[type[Action], Set[Phase]]] = {
    Phase.SETTING_UP: {
        Upload: {Phase.ASKING},
        InspectThread: {Phase.ASKING},
        CreateStore: {Phase.ASKING},
        PollStore: {Phase.ASKING},
        AttachStore: {Phase.ASKING},
        Resolve: {Phase.ASKING},
        Wait: _STAYS,
    },
    Phase.ASKING: {
        CreateThread: {Phase.RUNNING, Phase.CALLING_TOOLS, Phase.READING},
        AddMessage: {Phase.SETTING_UP},
        StartRun: {Phase.RUNNING, Phase.CALLING_TOOLS, Phase.READING},
        Resolve: {Phase.SETTING_UP, Phase.RUNNING, Phase.CALLING_TOOLS, Phase.READING},
        Unlock: _STAYS,
        Wait: _STAYS,
    },
    Phase.RUNNING: {
        PollRun: {Phase.ASKING, Phase.CALLING_TOOLS, Phase.READING},
        CancelRun: {Phase.ASKING, Phase.STOPPING, Phase.READING},
        Wait: {Phase.ASKING},
    },
    Phase.CALLING_TOOLS: {
        CallTools: _STAYS,
        SubmitOutputs: {Phase.ASKING, Phase.RUNNING, Phase.READING},
        Resolve: {Phase.ASKING, Phase.RUNNING, Phase.READING},
        CancelRun: {Phase.ASKING, Phase.STOPPING, Phase.READING},
        Wait: {Phase.ASKING},
    },
    Phase.STOPPING: {
        PollRun: {Phase.ASKING, Phase.READING},
        Wait: {Phase.ASKING},
    },
    Phase.READING: {
        ReadAnswer: {Phase.ASKING},
        Download: _STAYS,
        NameFile: _STAYS,
        ReadSteps: _STAYS,
        Wait: _STAYS,
    },
    Phase.CLEANING_UP: {
        Resolve: _STAYS,
        CancelRun: _STAYS,
        PollRun: _STAYS,
        ReadAnswer: _STAYS,
        Delete: _STAYS,
        Wait: _STAYS,
    },
}
