"""The command line. Data goes to stdout, everything else to stderr.

Exit codes: 0 all succeeded, 1 some job failed, 2 usage or settings, 124 not in time, 130 interrupted.
"""

import sys

from threadmill.cli import (
    assistants,
    batch,
    batches,
    doctor,
    export,
    follow,
    jobs,
    leftovers,
    report,
    services,
    submit,
    threads,
    tools,
)
from threadmill.cli.app import Exit, app, err
from threadmill.errors import ThreadmillError, WaitTimeout

for commands in (
    submit,
    batch,
    batches,
    export,
    report,
    follow,
    jobs,
    threads,
    assistants,
    tools,
    leftovers,
    services,
    doctor,
):
    commands.add_to(app)


def main() -> None:
    """The entry point of `threadmill`."""
    try:
        app()
    except WaitTimeout as error:
        err.print(f"threadmill: {error}", soft_wrap=True, markup=False)
        sys.exit(Exit.NOT_IN_TIME)
    except ThreadmillError as error:
        err.print(f"threadmill: {error}", soft_wrap=True, markup=False)
        sys.exit(Exit.USAGE)
