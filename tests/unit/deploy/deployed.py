"""The files of deploy/, read: manifests as kustomize makes them, command lines, settings."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import typer.main
import yaml

from threadmill_cli.app import app

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

_COMMAND = typer.main.get_command(app)


def documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text("utf-8")) if document]


def manifests() -> list[dict[str, Any]]:
    """The objects of deploy/kubernetes, with its patch of all Deployments merged as kustomize does."""
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    found = [made for name in kustomization["resources"] for made in documents(KUBERNETES / name)]
    [patch] = kustomization["patches"]
    assert patch["target"] == {"kind": "Deployment"}
    common = documents(KUBERNETES / patch["path"])[0]["spec"]
    return [{**made, "spec": _merged(made["spec"], common)} if made["kind"] == "Deployment" else made for made in found]


def _merged(target: Any, patch: Any) -> Any:
    """Mappings are merged by their keys, and the only container of a pod with that of the patch."""
    if isinstance(target, dict) and isinstance(patch, dict):
        return {name: _merged(target[name], patch[name]) if name in patch else target[name] for name in target} | {
            name: deepcopy(patch[name]) for name in patch if name not in target
        }
    assert isinstance(target, list), f"{target} in both files"
    assert [each["name"] for each in target] == [each["name"] for each in patch] == ["threadmill"]
    return [_merged({**target[0]}, {name: value for name, value in patch[0].items() if name != "name"})]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    return {made["metadata"]["name"]: made for made in manifests() if made["kind"] == kind}


def options_unknown_to(arguments: list[str]) -> set[str]:
    """Options that the command `threadmill ARGUMENTS` does not have."""
    command: Any = _COMMAND
    words = list(arguments)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is not _COMMAND, f"threadmill {' '.join(arguments)}: no such command"
    known = {option for parameter in command.params for option in parameter.opts}
    return {word for word in words if word.startswith("--")} - known


def metrics_of(query: str) -> set[str]:
    """The names of metrics in a PromQL query."""
    return set(re.findall(r"\b(?:threadmill|process)_\w+", query))


def labels_of(query: str) -> Iterator[tuple[str, str]]:
    """Each metric with each label that its selector names."""
    for metric, selector in re.findall(r"\b(threadmill_\w+)\{([^}]*)\}", query):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', selector)):
            yield metric, label


def grouping_of(query: str) -> set[str]:
    """The labels by which a query groups."""
    return {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")}
