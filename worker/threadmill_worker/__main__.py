"""`python -m threadmill_worker`: one worker process."""

import argparse
import sys

from threadmill.errors import SettingsError
from threadmill.secrets import redaction
from threadmill.settings.settings import Settings
from threadmill_worker.celery_app.tasks import make_worker_app


def main() -> int:
    redaction.guard()
    parser = argparse.ArgumentParser(prog="threadmill worker", description="Run a worker until SIGTERM or Ctrl-C.")
    parser.add_argument("--concurrency", type=int, help="jobs at a time (default: the setting `concurrency`)")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("-n", "--name", help="node name in Celery's monitors (default: a unique one)")
    options = parser.parse_args()
    if options.concurrency is not None and options.concurrency < 1:  # Celery would take 0 for its default
        parser.error("--concurrency must be at least 1")
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.stderr.write(f"threadmill: {error}\n")
        return 2
    arguments = ["worker", "--loglevel", options.log_level]
    if options.concurrency is not None:
        arguments += ["--concurrency", str(options.concurrency)]
    if options.name:
        arguments += ["--hostname", options.name]
    make_worker_app(settings).worker_main(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
