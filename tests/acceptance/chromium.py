"""A headless Chromium, spoken to by the DevTools protocol over a pipe: no driver, no port, no further package."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Self

#: How often an element of a live page is looked for.
_ATTEMPTS = 5

_CODES = {"Tab": 9, "Enter": 13}
_COMPLAINTS = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed")
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """`CHROMIUM` of the environment, or the one on PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


class Chromium:
    """One tab of a browser of its own."""

    def __init__(self, profile: Path) -> None:
        command = find_chromium()
        assert command is not None
        reads, self._requests = os.pipe()
        self._replies, writes = os.pipe()
        # The protocol is on file descriptors 3 and 4; the shell connects the pipes to them.
        script = f'exec "$@" 3<&{reads} 4>&{writes}'
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        self._log = (profile.parent / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", command, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(reads, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        os.close(reads)
        os.close(writes)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []  #: that came since the page was opened
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The reply's result; events that come before it are kept."""
        self._number += 1
        request: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while (message := self._next()).get("id") != self._number:
            self.events.append(message)
        assert "error" not in message, (method, message)
        result: dict[str, Any] = message["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._replies, 1 << 20)
            assert piece, "Chromium ended; chromium.log says why"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        made: dict[str, Any] = json.loads(message)
        return made

    def open(self, url: str, width: int, media: Mapping[str, str]) -> None:
        """Returns when the page is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in media.items()])
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def evaluate(self, expression: str) -> Any:
        """Its value in the page, or what a promise brings; the page's own policy does not bind us."""
        reply = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def html(self) -> str:
        """The page as it is now, also without scripts."""
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        return str(self.call("DOM.getOuterHTML", nodeId=root)["outerHTML"])

    def click(self, selector: str) -> None:
        """Clicks on the middle of an element, also without scripts."""
        place = self._place_of(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def _place_of(self, selector: str) -> dict[str, float]:
        """The middle of an element, which is scrolled into view. A live page may replace it meanwhile: then again."""
        for attempt in range(_ATTEMPTS):
            with suppress(AssertionError) if attempt < _ATTEMPTS - 1 else nullcontext():
                root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
                node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
                self.call("DOM.scrollIntoViewIfNeeded", nodeId=node)
                corners = self.call("DOM.getBoxModel", nodeId=node)["model"]["border"]
                return {"x": (corners[0] + corners[4]) / 2, "y": (corners[1] + corners[5]) / 2}
        raise AssertionError(f"{selector} has no place")

    def press(self, key: str) -> None:
        """Presses and releases a key by its name, as `Tab`."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_CODES[key])

    def complaints(self) -> list[dict[str, Any]]:
        """What the page logged, threw or failed to load since it was opened."""
        return [event for event in self.events if event["method"] in _COMPLAINTS]

    def close(self) -> None:
        self._session = None
        self.call("Browser.close")
        self._process.wait(20)
        os.close(self._requests)
        os.close(self._replies)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
