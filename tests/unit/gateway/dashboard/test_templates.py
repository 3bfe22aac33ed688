"""What holds for all templates: translations, and nothing that the pages' own policy forbids."""

import re
from importlib import resources
from pathlib import Path

import polib
import pytest

from threadmill_gateway import dashboard
from threadmill_gateway.dashboard.language import LANGUAGES, catalogue, chosen
from threadmill_gateway.dashboard.rendering import environment

_FOLDER = Path(str(resources.files(dashboard)))
_TEMPLATES = sorted(file.relative_to(_FOLDER / "templates").as_posix() for file in _FOLDER.rglob("templates/**/*.html"))
_CATALOGUES = sorted(_FOLDER.rglob("locales/**/*.po"))
_PLACES = re.compile(r"%\(\w+\)s")


def _source(template: str) -> str:
    return (_FOLDER / "templates" / template).read_text("utf-8")


def _texts(template: str) -> set[str]:
    found: set[str] = set()
    for _, _, message in environment("en").extract_translations(_source(template)):  # type: ignore[attr-defined]
        found.add(message if isinstance(message, str) else message[0])  # with its plural, or None
    return found


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
@pytest.mark.parametrize("template", _TEMPLATES)
def test_every_text_is_translated(template, language):
    known = catalogue(language).messages
    assert [text for text in sorted(_texts(template)) if not known.get(text)] == []


@pytest.mark.parametrize("file", _CATALOGUES, ids=lambda each: each.name)
def test_a_translation_has_the_variables_of_its_text(file):
    for entry in polib.pofile(str(file)):
        for translation in (entry.msgstr, *entry.msgstr_plural.values()):
            if translation:
                assert set(_PLACES.findall(translation)) == set(_PLACES.findall(entry.msgid_plural or entry.msgid)), (
                    entry.msgid
                )


def test_no_text_has_two_translations():
    found: dict[str, str] = {}
    for file in _CATALOGUES:
        for entry in polib.pofile(str(file)):
            assert found.setdefault(entry.msgid, entry.msgstr) == entry.msgstr, (file.name, entry.msgid)


@pytest.mark.parametrize("template", _TEMPLATES)
def test_a_template_has_no_inline_script_and_no_inline_style(template):
    source = _source(template)
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", source) == []
    assert re.findall(r"<style\b|\sstyle\s*=|\son\w+\s*=\s*[\"']|javascript:", source) == []


@pytest.mark.parametrize("template", _TEMPLATES)
def test_a_template_trusts_no_text(template):
    assert re.findall(r"\|\s*safe\b|autoescape|Markup", _source(template)) == []


@pytest.mark.parametrize("template", _TEMPLATES)
def test_an_address_knows_where_the_gateway_is_published(template):
    found = re.findall(r"(?:href|src|action)=\"(/[^\"]*)\"", _source(template))
    assert found == []


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "zh-TW,zh;q=0.9,en-US;q=0.8", "zh-TW"),
        (None, "zh-Hant-HK", "zh-TW"),
        (None, "de-DE,de;q=0.9", "en"),
        (None, "de, en;q=0.8, zh;q=0.7", "en"),
        ("zh-TW", "en", "zh-TW"),
        ("en", "zh-TW", "en"),
        ("../../etc/passwd", "zh-TW", "zh-TW"),
        (None, ";;,,\x00", "en"),
    ],
)
def test_the_language_of_a_page(asked, accepted, language):
    assert chosen(asked, accepted) == language
