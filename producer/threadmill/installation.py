"""Finds out which extras of threadmill are installed, and the command that adds one."""

import json
import shlex
import shutil
import sys
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from threadmill.errors import MissingExtra

#: The packages of the extras that code of threadmill itself needs.
_PACKAGES = {
    "batch": ("charset_normalizer", "cronsim", "jinja2", "markdown_it", "pathspec", "structlog"),
    "cli": ("rich", "tomli_w", "typer"),
    "emulator": ("starlette",),
    "gateway": ("fastapi", "structlog", "uvicorn"),
    "worker": ("openai",),
}


def require(extra: str) -> None:
    """Raises MissingExtra, which names the remedy, unless this extra (a key of `_PACKAGES`) is installed."""
    for package in _PACKAGES[extra]:
        if find_spec(package) is None:
            raise MissingExtra(extra, package, install_command(extra))


def install_command(extra: str) -> str:
    """Returns the command that adds `extra` to this installation, quoted for a shell.

    It names the current Python environment and the folder, archive or repository that threadmill was installed from
    (PEP 610), because a package index may not have it.
    """
    return f"{_installer()} {_requirement(distribution('threadmill'), extra)}"


def _installer() -> str:
    if find_spec("pip") is None:
        return f"uv pip install --python {shlex.quote(sys.executable)}"
    on_path = shutil.which("pip")
    if on_path and Path(on_path).parent == Path(sys.executable).parent:
        return "pip install"
    return f"{shlex.quote(sys.executable)} -m pip install"


def _requirement(installed: Distribution, extra: str) -> str:
    origin: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    name = f"{installed.metadata['Name']}[{extra}]"
    url = origin.get("url")
    if url is None:
        return shlex.quote(name)
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return shlex.quote(f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}")
    if not url.startswith("file:"):
        return shlex.quote(f"{name} @ {url}")
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return editable + shlex.quote(f"{unquote(urlsplit(url).path)}[{extra}]")
