"""The command `python -m threadmill_emulator`."""

import argparse
import base64
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import get_args

from threadmill_emulator.app import create_app
from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.http.control import check_routes
from threadmill_emulator.scripting.faults import KINDS, FaultPlan
from threadmill_emulator.scripting.limits import HeaderForm, Limits
from threadmill_emulator.scripting.markers import PARAMETERS
from threadmill_emulator.scripting.options import CAPABILITIES, EXTRAS, SERVER_QUIRKS, Options
from threadmill_emulator.scripting.profiles import NO_PROFILE, PROFILES
from threadmill_emulator.scripting.scenarios import QUIRKS, SCENARIOS
from threadmill_emulator.scripting.webhooks import WebhookPlan
from threadmill_emulator.server import Server, listen

LISTED = "\n".join(f"  {name}: {meaning}" for name, meaning in QUIRKS.items())
MORE = "\n".join(f"  {name}: {meaning}" for name, meaning in EXTRAS.items())
SERVER_LISTED = "\n".join(f"  {name}: {meaning}" for name, meaning in SERVER_QUIRKS.items())
PROFILES_LISTED = "\n".join(f"  {name}: {profile.server}" for name, profile in PROFILES.items())
KNOWN_EXTRAS = {**EXTRAS, **SERVER_QUIRKS, **QUIRKS}
EPILOG = f"""
scenarios: the assistant's id chooses one (asst_tools), or the model of a response or a chat completion
  (emulator-tools), or a marker in the last user message, which wins:
    [[scenario=tools run_s=5 tool=SEARCH]]
  {", ".join(name for name in SCENARIOS if name not in QUIRKS)}
  parameters: {", ".join(PARAMETERS)}

faults (a rate from 0 to 1 each): {", ".join(KINDS)}
  and: slow_s, retry_after_s, only (route names), times (the largest number of faults)

servers that people run (--like); --with and --without add to a profile:
{PROFILES_LISTED}

quirks (scenarios too, or added to another with quirks=a,b, or to all runs of a server with --with):
{LISTED}

capabilities (--without): {", ".join(CAPABILITIES)}

extras (--with), which the public servers lack:
{MORE}

quirks of a whole server (--with):
{SERVER_LISTED}

examples:
  threadmill emulator
  threadmill emulator --port 0 --run-s 0.2
  threadmill emulator --fault error_503=0.1 --fault rate_limit_429=0.05 --seed 7
  threadmill emulator --without vector_stores,streaming
  threadmill emulator --like vllm
  curl -N localhost:8089/v1/threads/runs -H 'Authorization: Bearer x' -H 'OpenAI-Beta: assistants=v2' \\
    -d '{{"assistant_id": "asst_plot", "stream": true}}'
  curl localhost:8089/v1/responses -H 'Authorization: Bearer x' -H 'Content-Type: application/json' \\
    -d '{{"model": "emulator-echo", "input": "Hello", "background": true}}'
  curl localhost:8089/v1/chat/completions -H 'Authorization: Bearer x' -H 'Content-Type: application/json' \\
    -d '{{"model": "emulator-echo", "messages": [{{"role": "user", "content": "Hello"}}]}}'
  threadmill emulator --like ollama-chat --slots 4
  curl -X POST localhost:8089/_faults -d '{{"drop_after": 1, "times": 1, "only": "runs.create"}}'
  threadmill emulator --requests-per-minute 1200 --count-refused
  curl -X POST localhost:8089/_limits -d '{{"requests_per_minute": 600}}'
  curl localhost:8089/_stats
"""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="threadmill emulator",
        description="An emulated server of Assistants, Responses and Chat Completions, with faults on demand.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8089, help="0 to 65535; 0 chooses a free port (default: %(default)s)")
    add("--run-s", type=_duration, default=1.0, help="seconds a run or a response takes (default: %(default)s)")
    add("--index-s", type=_duration, default=0.2, help="seconds a vector store indexes a file (default: %(default)s)")
    add("--batch-s", type=_duration, default=1.0, help="seconds a batch takes (default: %(default)s)")
    add("--batch-tokens", type=int, help="input tokens that the batches of one model may have enqueued (default: any)")
    add("--latency-ms", type=_duration, default=0.0, help="delay of every reply (default: %(default)s)")
    add("--api-key", help="the only key accepted (default: any)")
    add("--data-urls", choices=["yes", "no"], default="yes", help="accept data URLs as images under /v1")
    add("--fault", action="append", default=[], metavar="NAME=VALUE", help="may be repeated; see below")
    add("--seed", type=int, default=0, help="seed of the random faults (default: %(default)s)")
    add("--poll-after-ms", type=int, help="send openai-poll-after-ms with every run")
    add("--like", choices=PROFILES, metavar="SERVER", help="behave as this server does; see below")
    add("--without", default="", metavar="NAMES", help="capabilities this server lacks; see below")
    add("--with", dest="extras", default="", metavar="NAMES", help="extras and quirks this server has; see below")
    _add_limits(parser.add_argument_group("limits", "for each key and model; POST /_limits changes them").add_argument)
    _add_webhooks(parser.add_argument_group("webhooks", "of background responses and batches").add_argument)
    add("--quiet", action="store_true", help="no summary on stderr at the end")
    given = parser.parse_args(argv)
    for option, names, known in (
        ("without", given.without, CAPABILITIES),
        ("with", given.extras, KNOWN_EXTRAS),
    ):
        if unknown := _names(names) - known.keys():
            parser.error(f"--{option}: unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    given.without, given.extras = _names(given.without), _names(given.extras)
    try:
        given.faults = parse(FaultPlan, dict(fault.split("=", 1) for fault in given.fault))
        check_routes(given.faults)
    except ValueError:
        parser.error("--fault takes NAME=VALUE")
    except ApiError as error:
        parser.error(f"--fault: {error.message}")
    try:
        given.limits = parse(Limits, {name: getattr(given, name) for name in Limits.model_fields})
    except ApiError as error:
        parser.error(f"limits: {error.message}")
    try:
        plan = {"url": given.webhook_url, "times": given.webhook_times, "delay_s": given.webhook_delay_s}
        given.webhooks, given.webhook_secret = parse(WebhookPlan, plan), _secret(given.webhook_secret_env)
    except ApiError as error:
        parser.error(f"webhooks: {error.message}")
    except ValueError as error:
        parser.error(f"--webhook-secret-env: {error}")
    return given


def _add_webhooks(add: Callable[..., argparse.Action]) -> None:
    add("--webhook-url", metavar="URL", help="where they are sent (default: nowhere); POST /_webhooks changes it")
    add("--webhook-secret-env", metavar="NAME", help="variable with the secret that signs them, whsec_...")
    add("--webhook-times", type=int, default=1, metavar="N", help="send each so often; 0: it gets lost (default: 1)")
    add("--webhook-delay-s", type=_duration, default=0.0, metavar="S", help="send each so late (default: %(default)s)")


def _secret(variable: str | None) -> str | None:
    """Returns the secret in a variable. Raises ValueError, without its value, if it is none."""
    if variable is None:
        return None
    secret = os.environ.get(variable, "").strip()
    try:
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError(f"the value of {variable} is not whsec_ and base64") from None
    if not secret.startswith("whsec_"):
        raise ValueError(f"{variable} is not set to a secret: whsec_ and base64")
    return secret


def _add_limits(add: Callable[..., argparse.Action]) -> None:
    """Each option sets a field of Limits."""
    add("--requests-per-minute", type=float, metavar="N", help="starts of runs, submitted outputs, new responses")
    add("--tokens-per-minute", type=float, metavar="N", help="estimated with a request, settled by its usage")
    add("--concurrency", type=int, metavar="N", help="runs, responses and chat completions in flight")
    add("--slots", type=int, metavar="N", help="chat completions at work; the others wait for a slot")
    add("--queue", type=int, metavar="N", help="how many may wait for a slot; more are refused with 503 (default: any)")
    add("--burst-s", type=float, default=1.0, help="seconds' worth that may be used at once (default: %(default)s)")
    add("--count-refused", action="store_true", help="refused requests count too, as with OpenAI")
    add("--count-all", action="store_true", help="all requests count, polls too; then the limits hold for each key")
    add("--per-key", dest="per_model", action="store_false", help="the limits hold for each key, whatever the model")
    add("--rate-headers", choices=get_args(HeaderForm), default="openai", help="x-ratelimit-* (default: %(default)s)")
    add("--retry-after", action=argparse.BooleanOptionalAction, default=True, help="say when to try again (default)")


def options(given: argparse.Namespace) -> Options:
    """Returns the options of the emulator from the arguments."""
    return PROFILES.get(given.like, NO_PROFILE).options(
        run_s=given.run_s,
        index_s=given.index_s,
        batch_s=given.batch_s,
        batch_tokens=given.batch_tokens,
        without=given.without,
        extras=given.extras,
        latency_s=given.latency_ms / 1000,
        api_key=given.api_key,
        data_urls=given.data_urls == "yes",
        poll_after_ms=given.poll_after_ms,
        seed=given.seed,
        faults=given.faults,
        limits=given.limits,
        webhooks=given.webhooks,
        webhook_secret=given.webhook_secret,
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; give a number, 0 or more")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    app = create_app(options(given))
    try:
        listener = listen(given.host, given.port)
    except OSError as error:
        sys.stderr.write(f"threadmill emulator: cannot listen on {given.host}:{given.port}: {error.strerror}\n")
        return 2
    host = f"[{given.host}]" if ":" in given.host else given.host
    address = f"http://{host}:{listener.getsockname()[1]}/v1"

    def ready() -> None:
        sys.stdout.write(f"threadmill emulator listening on {address}\n")
        sys.stdout.flush()

    try:
        Server(app, ready).run(sockets=[listener])
    finally:
        if not given.quiet:
            state = app.state.emulator.state
            sys.stderr.write(
                f"threadmill emulator stopped: {state.stats.runs_created} runs, "
                f"{len(state.threads)} threads left behind; {state.responses.created} responses, "
                f"{len(state.responses.all())} left behind; {state.completions.created} chat completions\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
