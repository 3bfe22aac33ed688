"""The commands of `threadmill`, as its help lists them."""

from typing import Any, ClassVar

from threadmill_cli.command import Group
from threadmill_cli.later import Later

PANELS = {
    "Run": {
        "submit": Later(
            "submit",
            "Enqueue one prompt and print its job id; with --wait, --follow or --local print its answer.",
        ),
        "batch": Later("batch.group", "Ask a prompt about many documents, and watch or change batches."),
        "report": Later("report.group", "Produce nightly reports, each exactly once."),
    },
    "Watch": {
        "jobs": Later("jobs.group", "Watch single jobs, cancel them, or run them again."),
        "threads": Later(
            "threads",
            "List, show and delete the threads that jobs with `keep_thread` kept for later jobs.",
        ),
        "workers": Later(
            "workers",
            "List running workers: their jobs and endpoints. Notes endpoints that hold jobs back or give no "
            "usable replies.",
        ),
        "endpoints": Later(
            "endpoints",
            "Watch the limits of endpoints and the jobs that wait for them, and pause endpoints.",
        ),
    },
    "Operate": {
        "worker": Later("operate.services", "Run a worker until SIGTERM or Ctrl-C."),
        "gateway": Later(
            "operate.gateway", "Serve jobs over HTTP, and the pages of the dashboard, until SIGTERM or Ctrl-C."
        ),
        "dashboard": Later(
            "operate.gateway", "Serve pages that show jobs, batches and reports, until SIGTERM or Ctrl-C."
        ),
        "health": Later(
            "operate.health", "Say whether a worker of this machine runs jobs, or a gateway takes them; exit 1 if not."
        ),
        "callbacks": Later(
            "operate.callbacks", "List the callbacks of jobs and batches, send them again, and delete them."
        ),
        "leftovers": Later(
            "operate.leftovers",
            "List remote objects that could not be deleted yet. Workers try again a limited number of times.",
        ),
        "dead-letters": Later(
            "operate.dead_letters",
            "List queue messages that no worker could deliver; with --json, also their first 64 kB in base64.",
        ),
    },
    "Set up": {
        "init": Later(
            "set_up.init",
            "Ask for a server's URL and the variable with its key, find out what it offers, and write the settings "
            "for it.",
        ),
        "doctor": Later(
            "set_up.doctor.doctor",
            "Check all that a job needs, and send one prompt; or find out what the server at a URL offers.",
        ),
        "config": Later("set_up.config", "Show the settings."),
        "assistants": Later("set_up.assistants.group", "Manage a server's assistants."),
        "tools": Later(
            "set_up.tools",
            "List the tools that a worker with these settings offers at each endpoint; exit 1 if one cannot be used.",
        ),
        "keys": Later("set_up.keys", "Create, list and revoke the API keys of those who call the gateway."),
        "local": Later(
            "operate.services",
            "Run a program with its own Redis and worker; with --endpoint emulator, also the emulator.",
        ),
        "emulator": Later("operate.services", "Serve an emulated Assistants and Responses API."),
    },
}
_PANEL_OF = {command: panel for panel, commands in PANELS.items() for command in commands}

#: Commands that people try because other tools, or versions before 0.1, have them.
ELSEWHERE = {
    "attach": "batch attach NAME",
    "batch-status": "batch show NAME",
    "batches": "batch list",
    "cancel": "jobs cancel JOB or threadmill batch cancel NAME",
    "export": "batch export RESULTS",
    "follow": "jobs follow JOB",
    "pause": "batch pause NAME or threadmill endpoints pause NAME",
    "pools": "endpoints",
    "redrive": "jobs redrive JOB or threadmill batch redrive NAME",
    "reports": "report list",
    "result": "jobs result JOB",
    "resume": "batch resume NAME or threadmill endpoints resume NAME",
    "status": "jobs show JOB or threadmill batch show NAME",
    "wait": "jobs wait JOB",
}


class Root(Group):
    """The group of all commands."""

    later: ClassVar = {name: later for commands in PANELS.values() for name, later in commands.items()}

    def panel_of(self, name: str) -> str | None:
        return _PANEL_OF.get(name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in ELSEWHERE and not ctx.resilient_parsing:
            ctx.fail(f"There is no command {args[0]!r}. Use: threadmill {ELSEWHERE[args[0]]}")
        return super().resolve_command(ctx, args)
