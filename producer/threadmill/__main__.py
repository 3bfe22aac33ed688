"""The entry point of the command `threadmill`, and `python -m threadmill`."""

import sys

from threadmill.errors import MissingExtra
from threadmill.installation import require


def main() -> None:
    """Runs the command line, or says how to install it."""
    try:
        require("cli")
    except MissingExtra as error:
        sys.stderr.write(f"threadmill: {error}\n")
        sys.exit(2)
    from threadmill_cli import main as run

    run()


if __name__ == "__main__":
    main()
