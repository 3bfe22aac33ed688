"""What the docs call by name exists: commands and options of the command line, and links between pages."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from threadmill.settings.settings import Settings
from threadmill_cli.app import app
from threadmill_cli.command import ShortGroup

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / page for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SERVERS = sorted((ROOT / "docs" / "servers").glob("*.md"))

COMMAND = typer.main.get_command(app)

#: Programs whose own command line the worker's `threadmill emulator` passes on.
PASSED_ON = {"emulator"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_a_page_names_exists(page):
    for words in named_commands(page.read_text("utf-8")):
        command, left = find(words)
        if command.name in PASSED_ON:
            continue
        options = {option for param in command.params for option in param.opts} | {"--help", "-h", "--version"}
        unknown = {word.split("=")[0] for word in left if word.startswith("--")} - options - {"--"}
        assert not unknown, f"threadmill {' '.join(words)}: no such option of {command.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text("utf-8")), target


@pytest.mark.parametrize("page", SERVERS, ids=lambda page: page.stem)
def test_the_settings_that_a_page_of_a_server_shows_are_valid(page):
    for shown in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL):
        endpoints = Settings.model_validate(tomllib.loads(shown)).endpoints
        assert endpoints, f"a block of {page.name} has no endpoint"
        assert all(endpoint.base_url and (endpoint.model or endpoint.assistant) for endpoint in endpoints.values())


@pytest.mark.parametrize("page", SERVERS, ids=lambda page: page.stem)
def test_a_page_of_a_server_checks_an_endpoint_that_it_shows(page):
    text = page.read_text("utf-8")
    shown = set(re.findall(r"^\[endpoints\.([\w-]+)\]", text, flags=re.MULTILINE))
    assert set(re.findall(r"`threadmill doctor (\w+)`", text)) <= shown


def test_servers_md_leads_to_each_page_of_a_server():
    linked = set(re.findall(r"\]\(servers/([\w-]+)\.md\)", (ROOT / "docs" / "servers.md").read_text("utf-8")))
    assert linked == {page.stem for page in SERVERS}


def named_commands(text: str) -> Iterator[list[str]]:
    """The words after `threadmill` of each command in a block or in backticks."""
    in_blocks = re.findall(r"^(?:\S*/)?threadmill ((?:.|\\\n)*?)(?:\s# .*)?$", "\n".join(code_of(text)), re.MULTILINE)
    in_lines = re.findall(r"`threadmill ([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for command in [*in_blocks, *in_lines]:
        words = re.sub(r"'[^']*'|\"[^\"]*\"", "TEXT", command.replace("\\\n", " ")).split()
        yield words[: words.index("--")] if "--" in words else words


def code_of(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)


def find(words: list[str]) -> tuple[Any, list[str]]:
    command, left = COMMAND, list(words)
    while left and left[0] in getattr(command, "commands", {}):
        command = command.commands[left.pop(0)]
    if isinstance(command, ShortGroup) and command.is_short(left):
        command = command.commands[command.default]
    is_command = command is not COMMAND or not left or left[0].startswith(("-", "."))
    assert is_command, f"threadmill {' '.join(words)}: no such command"
    return command, left


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
