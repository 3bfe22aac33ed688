"""Results as one Markdown file to read: a section per answer with its sources, what failed at the end.

An answer is Markdown that nobody has checked: its headings go below its section's, raw HTML shows as text, and a fence
it left open is closed, so that nothing reaches over into the next section.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from threadmill.answers import answer_markdown
from threadmill.batch.outcomes import Entry, Outcomes, label, succeeded

_SECTION = 2  #: level of a document's heading
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&])")


def write(outcomes: Outcomes, file: TextIO) -> None:
    file.write(f"{title(outcomes.path)}\n")
    failed = False
    for entry in outcomes:
        if succeeded(entry):
            file.write(f"\n## {_words(label(entry))}\n\n{_answer(entry)}\n")
            file.writelines(_sources(entry))
        else:
            failed = True
    if failed:
        file.write("\n## Failed\n\n")
        file.writelines(_reason(entry) for entry in outcomes if not succeeded(entry))


def title(results: Path) -> str:
    """The first line of the file."""
    return f"# {_words(results.stem)}"


def _answer(entry: Entry) -> str:
    if entry.get("parsed") is not None:
        return f"```json\n{json.dumps(entry['parsed'], ensure_ascii=False, indent=2)}\n```"
    return answer_markdown(str(entry.get("text", "")), _SECTION)


def _sources(entry: Entry) -> Iterator[str]:
    """What `[1]` in the answer refers to. Footnotes proper would be numbered through the file, away from the text."""
    for number, citation in enumerate(entry.get("citations") or ()):
        yield "\nSources:\n\n" if number == 0 else ""
        yield f"- \\[{citation.get('number')}\\] {_source(citation)}\n"


def _source(citation: Mapping[str, Any]) -> str:
    name = _words(citation.get("name") or citation.get("file_id") or citation.get("url") or "")
    url, quote = str(citation.get("url") or ""), citation.get("quote")
    if re.fullmatch(r"https?://[^\s<>]+", url):
        name = f"{name}: <{url}>" if name != _words(url) else f"<{url}>"
    return f"{name}: “{_words(quote)}”" if quote else name


def _reason(entry: Entry) -> str:
    failure = entry.get("failure") or {"kind": entry["state"]}
    reason = ": ".join(_words(failure[part]) for part in ("kind", "message") if failure.get(part))
    return f"- **{_words(label(entry))}**: {reason}\n"


def _words(text: Any) -> str:
    """On one line, and no markup."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))
