"""The languages of the pages: English in the templates, others in gettext catalogues (locales/LANGUAGE/*.po)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import polib

#: Languages by their tag (BCP 47), as the pages name them.
LANGUAGES: Mapping[str, str] = {"en": "English", "zh-TW": "繁體中文"}


@dataclass(frozen=True)
class Catalogue:
    """Messages of one language. One that is missing stays English. None of these languages has plural forms."""

    messages: Mapping[str, str] = field(default_factory=dict)

    def gettext(self, message: str) -> str:
        return self.messages.get(message) or message

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.messages.get(one) or (one if number == 1 else many)


@cache
def catalogue(language: str) -> Catalogue:
    """Reads the catalogues of a language."""
    folder = resources.files(__package__) / "locales" / language.replace("-", "_")
    messages: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda each: each.name) if folder.is_dir() else ():
        for entry in polib.pofile(file.read_text(encoding="utf-8")):
            messages[entry.msgid] = entry.msgstr or entry.msgstr_plural.get(0, "")
    return Catalogue(messages)


def chosen(asked: str | None, accepted: str) -> str:
    """Returns the language of a page: the one that was `asked` for, else by the header Accept-Language."""
    if asked and asked in LANGUAGES:
        return asked
    for part in accepted.split(","):
        tag = part.split(";")[0].strip().lower()
        if tag.startswith("zh"):  # Simplified Chinese has no catalogue; its readers can rather read Traditional
            return "zh-TW"
        if tag.startswith("en"):
            return "en"
    return "en"
