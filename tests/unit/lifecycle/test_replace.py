"""`replace` does what dataclasses.replace does, for the dataclasses of the lifecycle."""

import dataclasses
import importlib
import inspect
import pkgutil

from tests.unit.lifecycle.story import START

from threadmill_worker import lifecycle
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.lifecycle.replace import replace

PROGRESS = Progress(START, 1)


def test_a_copy_has_the_changed_fields_and_all_others() -> None:
    changes = {"messages_sent": 1, "leftovers": (Leftover("thread", "thread_1"),)}
    assert replace(PROGRESS, **changes) == dataclasses.replace(PROGRESS, **changes)
    assert hash(replace(Leftover("thread", "thread_1"), tries=1)) == hash(Leftover("thread", "thread_1", 1))
    assert Progress(START, 1) == PROGRESS


def test_no_dataclass_of_the_lifecycle_needs_more_than_its_fields_copied() -> None:
    modules = [each.name for each in pkgutil.walk_packages(lifecycle.__path__, f"{lifecycle.__name__}.")]
    classes = {
        each
        for name in modules
        for _, each in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if dataclasses.is_dataclass(each)
    }
    assert Progress in classes
    assert [each for each in classes if "__slots__" in vars(each) or hasattr(each, "__post_init__")] == []
