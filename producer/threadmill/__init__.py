"""threadmill: enqueue prompt jobs and read their results.

Names are imported on first use, so that `import threadmill` is fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from threadmill.async_client import AsyncClient, AsyncJobHandle
    from threadmill.client import Client, JobHandle
    from threadmill.errors import (
        ApiKeyExists,
        ApiKeyNotFound,
        ClientClosed,
        InvalidApiKey,
        InvalidCursor,
        InvalidEntryId,
        InvalidJob,
        JobNotEnded,
        JobNotFound,
        KeyConflict,
        SettingsError,
        StoreRefused,
        StoreUnavailable,
        ThreadInUse,
        ThreadmillError,
        ThreadNotFound,
        UnreadableRecord,
        WaitTimeout,
    )
    from threadmill.job.api_key import ApiKey, NewApiKey, Scope
    from threadmill.job.events.event import Event, EventKind
    from threadmill.job.message import FileInput, Message
    from threadmill.job.prompt import PromptJob
    from threadmill.job.result import Artifact, Citation, Failure, FailureKind, JobResult, JobState
    from threadmill.settings.settings import Settings
    from threadmill.store.jobs.batch_lists import BatchPage
    from threadmill.store.jobs.lists import JobPage
    from threadmill.store.records.job import JobRecord
    from threadmill.store.records.remote import KeptThread
    from threadmill.store.records.stats import BatchStats, HourStats

_HOME = {
    "async_client": ("AsyncClient", "AsyncJobHandle"),
    "client": ("Client", "JobHandle"),
    "errors": (
        "ApiKeyExists",
        "ApiKeyNotFound",
        "ClientClosed",
        "InvalidApiKey",
        "InvalidCursor",
        "InvalidEntryId",
        "InvalidJob",
        "JobNotEnded",
        "JobNotFound",
        "KeyConflict",
        "SettingsError",
        "StoreRefused",
        "StoreUnavailable",
        "ThreadInUse",
        "ThreadNotFound",
        "ThreadmillError",
        "UnreadableRecord",
        "WaitTimeout",
    ),
    "job.api_key": ("ApiKey", "NewApiKey", "Scope"),
    "job.events.event": ("Event", "EventKind"),
    "job.prompt": ("PromptJob",),
    "job.message": ("FileInput", "Message"),
    "store.jobs.batch_lists": ("BatchPage",),
    "store.jobs.lists": ("JobPage",),
    "store.records.job": ("JobRecord",),
    "store.records.remote": ("KeptThread",),
    "store.records.stats": ("BatchStats", "HourStats"),
    "job.result": ("Artifact", "Citation", "Failure", "FailureKind", "JobResult", "JobState"),
    "settings.settings": ("Settings",),
}
_MODULE_OF = {name: f"threadmill.{module}" for module, names in _HOME.items() for name in names}

__all__ = [
    "ApiKey",
    "ApiKeyExists",
    "ApiKeyNotFound",
    "Artifact",
    "AsyncClient",
    "AsyncJobHandle",
    "BatchPage",
    "BatchStats",
    "Citation",
    "Client",
    "ClientClosed",
    "Event",
    "EventKind",
    "Failure",
    "FailureKind",
    "FileInput",
    "HourStats",
    "InvalidApiKey",
    "InvalidCursor",
    "InvalidEntryId",
    "InvalidJob",
    "JobHandle",
    "JobNotEnded",
    "JobNotFound",
    "JobPage",
    "JobRecord",
    "JobResult",
    "JobState",
    "KeptThread",
    "KeyConflict",
    "Message",
    "NewApiKey",
    "PromptJob",
    "Scope",
    "Settings",
    "SettingsError",
    "StoreRefused",
    "StoreUnavailable",
    "ThreadInUse",
    "ThreadNotFound",
    "ThreadmillError",
    "UnreadableRecord",
    "WaitTimeout",
    "__version__",
]

if not TYPE_CHECKING:  # a type checker must report a name that does not exist

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            value: Any = version("threadmill")
        elif name in _MODULE_OF:
            from importlib import import_module

            value = getattr(import_module(_MODULE_OF[name]), name)
        else:
            raise AttributeError(f"module 'threadmill' has no attribute {name!r}")
        globals()[name] = value
        return value
