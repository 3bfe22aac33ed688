"""Redacts secrets in logs, results, events, errors and files, with one redactor per process.

A secret is registered when it is read (settings/credentials.py and settings/settings.py). From then on `redact`
replaces it with `[key]`, even if it is escaped or encoded in the text.

Values that texts may contain by chance are not redacted: values shorter than 8 characters, words (fewer than 16
letters, all of one case), paths of existing files, and URLs with only a host. Placeholders such as `none`, `EMPTY` or
`emulator` are not secrets.
"""

import os
import re
import sys
from collections.abc import Mapping
from threading import Lock
from typing import Any, TextIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

from threadmill.secrets.secret_forms import Form, forms_of

#: Replaces a secret. It is shorter than any secret, so it contains none.
MARK = "[key]"

_SHORTEST = 8
_WORD = re.compile(r"[A-Z]{1,15}|[a-z]{1,15}")

#: How often `redact` repeats its search, in case a replacement and its neighbours look like another secret.
_PASSES = 4

#: Names of variables that hold secrets.
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$", re.IGNORECASE)

_USERINFO = re.compile(r"([\w+.-]+://[^\s/@:]*:)([^\s/]+)@")
_PARAMETER = re.compile(r"[?&]([\w.-]+)=([^&#\s]+)")

T = TypeVar("T")


class Redactor:
    """Redacts the registered secrets of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._secrets: dict[str, tuple[Form, ...]] = {}
        self._forms: tuple[Form, ...] = ()  #: the longest secret first, because one may be part of another

    def register(self, value: str | None) -> None:
        """Registers a value as a secret, with each of its lines, and the part after the scheme in `Bearer sk-...`."""
        value = (value or "").strip()
        scheme, _, rest = value.partition(" ")
        lines = [line.strip() for line in value.splitlines() if not line.startswith("-----")]  # which any PEM file has
        for secret in (value, rest if scheme.isalpha() else "", *lines):
            if secret not in self._secrets and len(secret) >= _SHORTEST and not _is_public(secret):
                with self._lock:
                    self._set({**self._secrets, secret: tuple(forms_of(secret))})

    def register_url(self, url: str) -> None:
        """Registers the passwords in one or several URLs, separated by `;`, and options such as `?token=`."""
        found = []
        for part in {url, *url.split(";")}:
            for before, password in _USERINFO.findall(part):
                found.append(password)
                self.register(f"{before}{password}@")  # even a short password, as part of the URL
            found += [value for name, value in _PARAMETER.findall(part) if _SECRET_NAME.search(name)]
        for value in found:
            self.register(value)
            self.register(unquote(value))

    def register_environment(self, variables: Mapping[str, str]) -> None:
        """Registers the values of variables or headers whose names end in KEY, TOKEN, SECRET, PASSWORD or similar.

        Of other values, registers passwords in URLs.
        """
        for name, value in variables.items():
            if _SECRET_NAME.search(name):
                self.register(value)
            elif "://" in value:
                self.register_url(value)

    def forget(self, value: str) -> None:
        """Removes a secret that has expired."""
        with self._lock:
            self._set({secret: forms for secret, forms in self._secrets.items() if secret != value})

    def _set(self, secrets: dict[str, tuple[Form, ...]]) -> None:
        self._secrets = secrets
        self._forms = tuple(form for secret in sorted(secrets, key=len, reverse=True) for form in secrets[secret])

    def redact(self, text: str) -> str:
        """Returns the text with `[key]` instead of each secret."""
        for _ in range(_PASSES):
            before = text
            for anchor, pattern in self._forms:
                if anchor in text:
                    text = pattern.sub(MARK, text)
            if text == before:
                break
        return text

    def redact_all(self, value: T) -> T:
        """Redacts all strings of a JSON value; other objects in it are redacted by their `repr`."""
        return cast(T, self._redact_all(value))

    def redact_parsed(self, value: T, source: str) -> T:
        """Redacts a value parsed from the JSON text `source`, which is faster to search than its parts."""
        return self.redact_all(value) if "\\u00" in source or self.may_hold_secret(source) else value

    def may_hold_secret(self, text: str) -> bool:
        """Returns False only if a text holds no secret. `text`: also JSON or a `repr` made by Python.

        JSON of other programs may hold letters as `\\u00..`.
        """
        return any(anchor in text for anchor, _ in self._forms)

    def _redact_all(self, value: Any) -> Any:
        match value:
            case str():
                return self.redact(value)
            case dict():
                return {self._redact_all(key): self._redact_all(each) for key, each in value.items()}
            case list() | tuple():
                return [self._redact_all(each) for each in value]
            case bool() | int() | float() | None:
                return value
            case _:
                return self.redact(repr(value))

    def unfinished(self, text: str) -> int:
        """Returns how many characters at the end of a text may be the beginning of a secret."""
        secrets = tuple(self._secrets)
        firsts = {secret[0] for secret in secrets}
        longest = max(map(len, secrets), default=1)
        for length in range(min(longest - 1, len(text)), 0, -1):
            if text[-length] in firsts and any(secret.startswith(text[-length:]) for secret in secrets):
                return length
        return 0


def _is_public(value: str) -> bool:
    """Whether a value is clearly not a secret: a word, an existing path, or a URL with only a host."""
    if _WORD.fullmatch(value) or (os.path.isabs(value) and os.path.lexists(value)):
        return True
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc) and "@" not in value and not (parts.path.strip("/") or parts.query)


class RedactingStream:
    """A text stream that redacts what is written to it."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.redact(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


#: The redactor of this process.
REDACTOR = Redactor()

redact = REDACTOR.redact
redact_all = REDACTOR.redact_all
redact_parsed = REDACTOR.redact_parsed
may_hold_secret = REDACTOR.may_hold_secret


def guard() -> None:
    """Registers the environment's secrets and redacts everything that this process writes to stderr.

    This includes tracebacks of uncaught exceptions in any thread.
    """
    REDACTOR.register_environment(os.environ)
    if not isinstance(sys.stderr, RedactingStream) and sys.stderr is not None:
        sys.stderr = cast(TextIO, RedactingStream(sys.stderr, REDACTOR))
