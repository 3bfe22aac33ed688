"""The command line. Data goes to stdout, and everything else to stderr.

Exit codes: 0 everything succeeded, 1 some job failed, 2 usage or settings, 124 timeout, 130 interrupted.
"""

from threadmill.secrets import redaction
from threadmill_cli.app import app
from threadmill_cli.command import finish
from threadmill_cli.operate import cancel, dead_letters, leftovers, threads, workers
from threadmill_cli.run import batch, export, report, submit
from threadmill_cli.setup import assistants, config, doctor, services, tools
from threadmill_cli.watch import batches, follow, jobs

for commands in (
    submit,
    batch,
    batches,
    export,
    report,
    follow,
    jobs,
    cancel,
    workers,
    threads,
    assistants,
    tools,
    leftovers,
    dead_letters,
    services,
    config,
    doctor,
):
    commands.add_to(app)
finish(app)


def main() -> None:
    """The entry point of `threadmill`."""
    redaction.guard()
    app()
