"""The command line. Data goes to stdout, and everything else to stderr.

Exit codes: 0 everything succeeded, 1 some job failed, 2 usage or settings, 124 timeout, 130 interrupted.
"""

from threadmill.secrets import redaction
from threadmill_cli.app import app
from threadmill_cli.command import finish
from threadmill_cli.commands import (
    callbacks,
    config,
    dead_letters,
    doctor,
    endpoints,
    gateway,
    keys,
    leftovers,
    services,
    submit,
    threads,
    tools,
    workers,
)
from threadmill_cli.commands.assistants import group as assistants
from threadmill_cli.commands.batch import group as batch
from threadmill_cli.commands.jobs import group as jobs
from threadmill_cli.commands.report import group as report

for noun in (
    *(submit, batch, report, jobs, workers, endpoints, threads, leftovers, callbacks, dead_letters),
    *(services, gateway, doctor, config, assistants, tools, keys),
):
    noun.add_to(app)
finish(app)


def main() -> None:
    """The entry point of `threadmill`."""
    redaction.guard()
    app()
