"""Writes results as one Markdown file: a section per answer with its sources, then the failures.

Answers are untrusted Markdown. Their headings are moved below that of the section, raw HTML is shown as text, and open
code blocks are closed, so that an answer does not affect the next section.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from threadmill.answers import answer_markdown
from threadmill.export.results_reader import ResultLine, ResultsReader, label, succeeded

_SECTION = 2  #: heading level of a document
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&])")


def write(reader: ResultsReader, file: TextIO) -> None:
    file.write(f"{title(reader.path)}\n")
    failed = False
    for entry in reader:
        if succeeded(entry):
            file.write(f"\n## {_words(label(entry))}\n\n{_answer(entry)}\n")
            file.writelines(_sources(entry))
        else:
            failed = True
    if failed:
        file.write("\n## Failed\n\n")
        file.writelines(_reason(entry) for entry in reader if not succeeded(entry))


def title(results: Path) -> str:
    """Returns the first line of the file."""
    return f"# {_words(results.stem)}"


def _answer(entry: ResultLine) -> str:
    if entry.get("parsed") is not None:
        return f"```json\n{json.dumps(entry['parsed'], ensure_ascii=False, indent=2)}\n```"
    return answer_markdown(str(entry.get("text", "")), _SECTION)


def _sources(entry: ResultLine) -> Iterator[str]:
    """Yields the sources to which `[1]` in the answer refers. Markdown footnotes would be at the end of the file."""
    for number, citation in enumerate(entry.get("citations") or ()):
        yield "\nSources:\n\n" if number == 0 else ""
        yield f"- \\[{citation.get('number')}\\] {_source(citation)}\n"


def _source(citation: Mapping[str, Any]) -> str:
    name = _words(citation.get("name") or citation.get("file_id") or citation.get("url") or "")
    url, quote = str(citation.get("url") or ""), citation.get("quote")
    if re.fullmatch(r"https?://[^\s<>]+", url):
        name = f"{name}: <{url}>" if name != _words(url) else f"<{url}>"
    return f"{name}: “{_words(quote)}”" if quote else name


def _reason(entry: ResultLine) -> str:
    failure = entry.get("failure") or {"kind": entry["state"]}
    reason = ": ".join(_words(failure[part]) for part in ("kind", "message") if failure.get(part))
    return f"- **{_words(label(entry))}**: {reason}\n"


def _words(text: Any) -> str:
    """Returns the text on one line, with markup escaped."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))
