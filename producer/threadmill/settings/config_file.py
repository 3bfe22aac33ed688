"""Finds the settings file."""

import os
from pathlib import Path

from threadmill.errors import SettingsError

CONFIG_NAME = "threadmill.toml"


def find_config() -> Path | None:
    """Returns the settings file: THREADMILL_CONFIG, or the working directory's, or the user's, or None.

    Raises SettingsError if THREADMILL_CONFIG does not name a file.
    """
    named = os.environ.get("THREADMILL_CONFIG")
    if named:
        path = Path(named)
        if not path.is_file():
            raise SettingsError(f"THREADMILL_CONFIG names {named}, which is not a file")
        return path
    user_config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (Path(CONFIG_NAME), user_config / "threadmill" / CONFIG_NAME):
        if path.is_file():
            return path.absolute()
    return None
