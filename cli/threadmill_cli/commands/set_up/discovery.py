"""What `threadmill doctor` and `threadmill init` find out about a server, and how they show it."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from threadmill.errors import SettingsError
from threadmill.settings import credentials
from threadmill.settings.settings import Settings
from threadmill_cli.app import Exit, note, write, write_json
from threadmill_cli.commands.set_up.new_endpoint import check_url, check_variable, name_for, variable_for
from threadmill_cli.extras import worker_code

if TYPE_CHECKING:
    from threadmill_worker.admin.discovery.findings import Discovery, Finding

_MARKS = {True: "yes", False: "no", None: "?"}


class Server:
    """A server at a URL. `variable`: the one with its key; None: it needs none, or `variable_for` knows it."""

    def __init__(self, url: str, variable: str | None) -> None:
        """Raises SettingsError."""
        self.url = check_url(url)
        usual = variable_for(url)
        self.variable = check_variable(variable) if variable else usual
        self._noted: set[str] = set()

    def missing_key(self) -> str | None:
        """Returns the variable if it is not set. Raises SettingsError if its value cannot be sent."""
        return self.variable if self.variable and credentials.read_header(self.variable) is None else None

    def discover(self, model: str | None, *, prompts: bool, limit_s: float) -> "Discovery":
        """Asks the server; notes each finding that was not noted before. Raises ServerUnusable."""
        with worker_code():
            from threadmill_worker.admin.discovery.discover import discover_url

            found = asyncio.run(
                discover_url(
                    self.url, self.variable, model=model, prompts=prompts, limit_s=limit_s, found=self._note_finding
                )
            )
        for each in found.notes:
            self._note(f"note  {each}")
        for each in found.warnings:
            self._note(f"warn  {each}")
        return found

    def _note_finding(self, finding: "Finding") -> None:
        self._note(f"{_MARKS[finding.has]:<4}  {finding.meaning:<36}  {finding.how}")

    def _note(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            note(line)

    def lines(self, found: "Discovery", name: str) -> str:
        """Returns the table of the endpoint, in TOML."""
        with worker_code():
            from threadmill_worker.admin.discovery.settings_lines import settings_lines

            return settings_lines(found, name, self.variable)


def doctor_of_url(
    url: str, variable: str | None, model: str | None, *, prompts: bool, limit_s: float, as_json: bool
) -> Exit:
    """Finds out what a server offers, notes it, and writes the settings for it. Returns the exit code."""
    server = Server(url, variable)
    if missing := server.missing_key():
        raise SettingsError(f"{missing} is not set here: export {missing}=...")
    with worker_code():
        from threadmill_worker.admin.discovery.addresses import ServerUnusable
    try:
        found = server.discover(model, prompts=prompts, limit_s=limit_s)
    except ServerUnusable as error:
        note(f"FAIL  {error}")
        if as_json:
            write_json({"url": url, "error": str(error)})
        return Exit.FAILED
    lines = server.lines(found, name_for(url))
    if as_json:
        write_json({"url": url, "wires": found.wires, **asdict(found), "settings": lines})
    else:
        write(lines)
    return Exit.OK


class Comparison(NamedTuple):
    """What the server of an endpoint offers, and how the settings differ from it."""

    offered: str
    warnings: list[str]  #: what the server lacks
    remarks: list[str]  #: what the settings do not use, and what was not tried


def compare(settings: Settings, name: str, *, prompts: bool, limit_s: float) -> Comparison:
    """Compares the settings of an endpoint with what its server offers. Raises ServerUnusable."""
    with worker_code():
        from threadmill_worker.admin.discovery.discover import discover_endpoint
        from threadmill_worker.admin.discovery.settings_lines import differences

        endpoint = settings.endpoints[name]
        found = asyncio.run(
            discover_endpoint(endpoint, endpoint.first_key, prompts=prompts, limit_s=limit_s, found=lambda _: None)
        )
        different = differences(found, name, endpoint)
    return Comparison(
        f"the server offers {', '.join(each.meaning for each in found.findings if each.has)}",
        [*(each.text for each in different if each.is_lacking), *found.warnings],
        [*(each.text for each in different if not each.is_lacking), *found.notes],
    )
