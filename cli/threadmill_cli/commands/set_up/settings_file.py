"""Adds the table of an endpoint to the settings file. What is there stays as it is."""

import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from threadmill.batch.replacing import replacing
from threadmill.errors import SettingsError
from threadmill.job.model import explain
from threadmill.settings.config_file import CONFIG_NAME, find_config
from threadmill.settings.endpoints.endpoint import Endpoint


def settings_file() -> Path:
    """Returns the file that threadmill reads here, or would read if it existed."""
    named = os.environ.get("THREADMILL_CONFIG")
    return Path(named) if named else find_config() or Path(CONFIG_NAME).absolute()


def read_text(file: Path) -> str:
    """Returns the text of the file; "": there is none. Raises SettingsError."""
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def check_free(text: str, name: str, file: Path) -> None:
    """Raises SettingsError if the file has an endpoint of this name, or cannot be added to."""
    endpoints = _parsed(text, file).get("endpoints", {})
    if isinstance(endpoints, dict) and name in endpoints:
        raise SettingsError(
            f"{file} has an endpoint {name!r} already: choose another name with --name, or change the file "
            f"yourself; `threadmill doctor {name}` says what to set"
        )


def with_endpoint(text: str, name: str, lines: str, file: Path) -> str:
    """Returns the text of the file with the table of a new endpoint at its end. PURE.

    Raises SettingsError if the file would not have exactly its settings and the endpoint.
    """
    before = _parsed(text, file)
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    whole = f"{text}{gap}{lines}"
    after = _with_own(whole, name)
    if after is None or {"endpoints": {}, **after} != {"endpoints": {}, **before}:
        raise SettingsError(f"no table can be added to {file}; add these lines yourself:\n\n{lines}")
    return whole


def _with_own(text: str, name: str) -> dict[str, Any] | None:
    """Returns the settings without the new endpoint, which was checked; None: the text is not valid."""
    try:
        settings = tomllib.loads(text)
        Endpoint.model_validate(settings["endpoints"].pop(name))
    except ValidationError as error:
        raise SettingsError(f"the endpoint cannot be used: {explain(error)}") from None
    except (ValueError, KeyError, TypeError):
        return None
    return settings


def write_text(file: Path, text: str) -> None:
    """Replaces the file in one step, so that nothing is left of an interrupted command. Raises SettingsError."""
    target = file.resolve()
    try:
        with replacing(target) as new:
            new.write(text.encode())
            if target.exists():
                shutil.copymode(target, new.name)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror or error}; --stdout prints it") from None


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}; correct it first") from None
