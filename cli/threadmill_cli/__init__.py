"""The command line. Data goes to stdout, and everything else to stderr.

Exit codes: 0 everything succeeded, 1 some job failed, 2 usage or settings, 124 timeout, 130 interrupted.
"""

from threadmill.secrets import redaction
from threadmill_cli.app import app
from threadmill_cli.root import Root

app.info.cls = Root


def main() -> None:
    """The entry point of `threadmill`."""
    redaction.guard()
    app()
