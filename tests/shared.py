"""Fixtures of a module whose tests share one emulator, and one worker process on it.

A module takes those that it wants by their names: `emulator, base_url = shared.emulator, shared.base_url`.
"""

import pytest


@pytest.fixture(scope="module")
def emulator(emulate):
    with emulate() as emulated:
        yield emulated


@pytest.fixture(scope="module")
def base_url(emulator):
    return emulator.base_url


@pytest.fixture(scope="module")
def settings(make_settings, base_url, start_worker_for_all):
    """Those of the worker, which runs."""
    made = make_settings(base_url)
    start_worker_for_all(made)
    return made


@pytest.fixture
def cli(run_cli, settings, settings_as_environment):
    """The command with the module's settings in its environment."""
    variables = settings_as_environment(settings)
    return lambda *arguments, **more: run_cli(*arguments, **more, **variables)
