"""The Jinja2 environment of all templates that users write."""

from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment


def sandbox(**options: Any) -> SandboxedEnvironment:
    """Returns an environment without access to Python's internals, in which unknown names are errors."""
    return SandboxedEnvironment(undefined=StrictUndefined, **options)
