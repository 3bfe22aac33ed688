"""The modules that a process of `tests.forking.forked` finds imported: among them those of all commands."""

import gc
import importlib
from pkgutil import walk_packages

import tests.quick_redis  # noqa: F401

from threadmill_cli import commands

for module in (
    "anyio._backends._asyncio",
    "celery.app.events",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.worker.autoscale",
    "celery.worker.components",
    "httpcore",
    "httpcore2",
    "kombu.transport.redis",
    "mcp.client.stdio",
    "openai.resources.batches",
    "openai.resources.beta.beta",
    "openai.resources.chat.chat",
    "openai.resources.files",
    "openai.resources.vector_stores.vector_stores",
    "rich.live",
    "rich.markdown",
    "typer.main",
    "threadmill.export.export",
    "threadmill.client",
    "threadmill.reports.scheduler",
    "threadmill_emulator.app",
    "threadmill_emulator.server",
    "threadmill_gateway.serve",
    "threadmill_worker.celery_app.consumer",
    "threadmill_worker.admin.probe",
    "threadmill_worker.admin.assistants",
    "threadmill_worker.admin.tools",
    "threadmill_worker.celery_app.tasks",
    "threadmill_worker.admin.transcript",
    "truststore",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    *(module.name for module in walk_packages(commands.__path__, f"{commands.__name__}.")),
):
    importlib.import_module(module)

gc.collect()
gc.freeze()  # a collection in a fork would copy the memory that it shares with the others
