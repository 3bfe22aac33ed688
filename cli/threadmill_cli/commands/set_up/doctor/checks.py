"""The checks of `threadmill doctor`: settings, Redis, endpoint, workers, and one prompt."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from threadmill.client import Client
from threadmill.errors import SettingsError, ThreadmillError
from threadmill.settings.config_file import find_config
from threadmill.settings.settings import Settings
from threadmill.store.records.job import FORMAT
from threadmill.store.records.worker import SKEW_LIMIT_S, Worker
from threadmill.store.rights import grant, of_producer, of_worker
from threadmill.store.store import Store
from threadmill_cli.command import message
from threadmill_cli.commands.set_up.discovery import compare
from threadmill_cli.commands.set_up.doctor.round_trip import round_trip
from threadmill_cli.environment import open_environment
from threadmill_cli.extras import worker_code
from threadmill_cli.rendering.times import show_skew

#: How long the worker of --local may take to announce itself, in seconds.
_START_S = 20.0

#: How long a reply that costs nothing may take, in seconds.
_REPLY_S = 30.0

#: The check of the settings.
SETTINGS = "settings"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check. `warning`: the check passed, but jobs may be lost later."""

    check: str
    ok: bool
    detail: str
    warning: bool = False


class CheckFailed(ThreadmillError):
    """The text says what to fix."""


def examine(endpoint: str | None, round_trip_s: float | None, local: bool) -> Iterator[Finding]:
    """Yields the outcome of each check. Each needs the ones before it, so the first that fails is the last.

    `endpoint`: by name; None: the default one. `round_trip_s`: how long the round trip may take; None: no prompts.
    `local`: with Redis, a worker and perhaps the emulator of this command's own.
    """
    checking = SETTINGS
    try:
        settings = Settings.load()
        name = settings.endpoint_name(endpoint)
        settings.check_keys()
        yield Finding(checking, True, f"{find_config() or 'from the environment'}; endpoint {name}")
        checking = "redis"
        with open_environment(settings, local, name) as env:
            client = Client(env.settings)
            client.store.ping()
            yield from check_redis(client.store.info())
            checking = "rights"
            yield from check_rights(client.store, env.settings)
            checking = "queue"
            yield from check_queue(client)
            checking = "clock"
            yield from check_clocks(client.store.clock_skew_s(), client.workers())
            checking = "endpoint"
            yield Finding(checking, True, check_endpoint(name, env.settings))
            yield from check_offers(name, env.settings, round_trip_s)
            yield from check_pools(client, name)
            checking = "workers"
            yield Finding(checking, True, check_workers(client, name, _START_S if local else 0))
            checking = "round trip"
            if round_trip_s is not None:
                yield Finding(checking, True, check_round_trip(client, name, round_trip_s))
    except ThreadmillError as error:
        checking = SETTINGS if isinstance(error, SettingsError) else checking
        yield Finding(checking, False, message(error, "threadmill doctor", has_local=True))


def check_redis(info: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Checks the configuration of Redis. `info`: None if the user may not call INFO."""
    if info is None:
        yield Finding("redis", True, "answers")
        forbidden = (
            "cannot be checked: the user in REDIS_URL may not call INFO (`+info`). Make sure that Redis runs with"
        )
        yield Finding("eviction", True, f"{forbidden} `maxmemory-policy noeviction`", warning=True)
        yield Finding("persistence", True, f"{forbidden} `appendonly yes`", warning=True)
        return
    yield Finding("redis", True, f"version {info.get('redis_version', 'unknown')}")
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Finding("eviction", True, "noeviction")
    else:
        problem = f"maxmemory-policy is {policy}: Redis may delete jobs when its memory is full"
        yield Finding("eviction", True, f"{problem}; set `maxmemory-policy noeviction`", warning=True)
    if info.get("aof_enabled") == 1:
        yield Finding("persistence", True, "appendonly")
    else:
        problem = "appendonly is off: if Redis crashes, jobs since its last snapshot are lost"
        yield Finding("persistence", True, f"{problem}; set `appendonly yes`", warning=True)


def check_rights(store: Store, settings: Settings) -> Iterator[Finding]:
    """Checks the rights of the user in REDIS_URL for a producer; workers may have another user. Raises CheckFailed."""
    if missing := store.missing_rights(of_producer(settings)):
        raise CheckFailed(f"the user in REDIS_URL may not do all that is needed: run `{grant(settings, missing)}`")
    if missing := store.missing_rights(of_worker(settings)):
        detail = f"enough for a producer; a worker with this REDIS_URL also needs `{grant(settings, missing)}`"
        yield Finding("rights", True, detail, warning=True)
    else:
        yield Finding("rights", True, "all that producers and workers need")


def check_queue(client: Client) -> Iterator[Finding]:
    """Yields a warning if there are messages that no worker could deliver."""
    count = client.store.dead_letter_count()
    if count:
        problem = f"{count:,} messages could not be delivered; `threadmill dead-letters` lists them"
        yield Finding("queue", True, problem, warning=True)


def check_clocks(skew_s: float, workers: Sequence[Worker]) -> Iterator[Finding]:
    """Yields a warning for each wrong clock. Jobs run anyway; only times that users take from it are wrong."""
    hosts = {f"worker host {worker.name.partition(':')[0]}": worker.clock_skew_s for worker in workers}
    for machine, skew in {"this machine": skew_s, **hosts}.items():
        if abs(skew) > SKEW_LIMIT_S:
            detail = f"the clock of {machine} is {show_skew(skew)}; synchronise both with NTP"
            yield Finding("clock", True, detail, warning=True)


def check_endpoint(name: str, settings: Settings) -> str:
    """Calls the endpoint with the worker's own driver. Returns what was found; raises EndpointUnusable."""
    with worker_code():
        from threadmill_worker.admin.probe import probe

        return asyncio.run(probe(settings, name))


def check_offers(name: str, settings: Settings, prompts_s: float | None) -> Iterator[Finding]:
    """Compares what the server offers with the settings. `prompts_s`: how long a reply may take; None: no prompts."""
    found = compare(settings, name, prompts=prompts_s is not None, limit_s=prompts_s or _REPLY_S)
    yield Finding("server", True, found.offered)
    for each in found.warnings:
        yield Finding("server", True, each, warning=True)
    for each in found.remarks:
        yield Finding("server", True, each)


def check_pools(client: Client, name: str) -> Iterator[Finding]:
    """Yields a warning for each pool on which no job starts now."""
    for pool in client.awaited_pools(name):
        if not pool.is_open:
            remedy = f"; to resume it: threadmill endpoints resume {name}" if pool.paused is not None else ""
            yield Finding("endpoint", True, f"{pool.label} is {pool.wait_reason}{remedy}", warning=True)


def check_workers(client: Client, name: str, patience_s: float) -> str:
    """Returns the running workers, if one serves the endpoint. Waits for it; raises CheckFailed."""
    give_up_at = time.monotonic() + patience_s
    while True:
        alive = client.workers()
        serving = [worker for worker in alive if name in worker.endpoints]
        if any(worker.format >= FORMAT for worker in serving):
            return ", ".join(f"{worker.name} ({worker.jobs}/{worker.concurrency} jobs)" for worker in alive)
        if time.monotonic() >= give_up_at:
            break
        time.sleep(0.1)
    if serving:
        raise CheckFailed("all run an older version of threadmill and leave jobs of this one alone: update them")
    if alive:
        variables = " and ".join(client.settings.endpoints[name].key_variables)
        missing = f"{variables} in its environment" if variables else f"[endpoints.{name}] in its threadmill.toml"
        raise CheckFailed(f"{len(alive)} running, but none serves {name!r}: set {missing}, then restart it")
    raise CheckFailed("no worker is running: start one with `threadmill worker`")


def check_round_trip(client: Client, name: str, timeout_s: float) -> str:
    """Returns how long a prompt took, and its answer. Raises NoAnswer."""
    result = round_trip(client, name, timeout_s)
    seconds = (result.timings.finished_at - result.timings.created_at).total_seconds()
    return f"{seconds:.1f} s, {result.calls} calls: {' '.join(result.text.split())[:60]!r}"
