"""`python -m threadmill_worker`: one worker process."""

import argparse
import sys

from threadmill.errors import SettingsError
from threadmill.settings import Settings
from threadmill_worker.tasks import make_worker_app


def main() -> int:
    parser = argparse.ArgumentParser(prog="threadmill worker", description="See enqueued jobs through.")
    parser.add_argument("--concurrency", type=int, help="jobs at a time (default: the settings', 100)")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args()
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.stderr.write(f"threadmill: {error}\n")
        return 2
    if options.concurrency:
        settings = settings.model_copy(update={"concurrency": options.concurrency})
    app = make_worker_app(settings)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--loglevel",
            options.log_level,
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
