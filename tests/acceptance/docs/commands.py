"""What is special about single commands of the pages."""

import re

#: Commands that are tried elsewhere, or need what this machine does not have.
ELSEWHERE = {
    r"\bpip install": "scripts/check_installs runs each",
    r"^celery .* flower": "needs Flower, which is no part of threadmill",
    r"^celery multi": "writes into /var/log and /run; test_celery_multi.py runs it",
    r"--install-completion": "writes into the shell's start-up file, and asks which shell that is",
    r"^docker\b": "needs a Docker engine; test_compose.py and test_dockerfile.py run what they start",
    r"^(kubectl|systemctl|journalctl)\b": "needs a cluster or systemd; tests/unit/deploy checks what they apply",
    r"^(useradd|install|python3 -m venv /opt)\b": "changes the machine",
    r"^(git clone|cd )": "how a reader gets to where the commands run",
    r"^\./scripts/test": "runs this test",
    r"^\./scripts/(setup|demo)": "sets up .venv; .ci/run calls both",
    r"^\./scripts/check_servers": "installs servers, and takes minutes",
    r"^\./examples/run": "test_examples.py runs each",
}

#: Commands that run until they are stopped, and what they print when they are ready.
RUNS_ON = {
    r"^threadmill worker\b": "worker started",
    r"^celery .* worker": "worker started",
    r"^threadmill emulator": "listening on",
    r"^threadmill (gateway|dashboard)": "Uvicorn running on",
    r"^threadmill report schedule": "schedule",
    r"^redis-server": "Ready to accept connections",
}

#: Commands that are right to end with 1.
MAY_FAIL = (
    r"^threadmill jobs --state failed",
    r"^threadmill tools",  # the functions of the page are not all there
)


def is_tried_elsewhere(command: str) -> bool:
    return any(re.search(pattern, command.strip()) for pattern in ELSEWHERE)


def ready_when_printing(command: str) -> str | None:
    """What a command that runs until it is stopped prints; None for other commands."""
    return next((text for pattern, text in RUNS_ON.items() if re.search(pattern, command)), None)


def allowed_exit_codes(command: str) -> set[int]:
    return {0, 1} if any(re.search(pattern, command) for pattern in MAY_FAIL) else {0}
