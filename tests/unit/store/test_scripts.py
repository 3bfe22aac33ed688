"""The Lua scripts as text: what they include and name is defined. luacheck, where it is installed, finds more."""

import re
from pathlib import Path

import pytest

from threadmill.store import scripts
from threadmill.store.keys import Keys
from threadmill.store.scripts import source

LUA = Path(scripts.__file__).with_name("lua")
FILES = sorted(LUA.rglob("*.lua"))
NAMES = [str(path.relative_to(LUA).with_suffix("")) for path in FILES if path.parent.name != "include"]

#: What a script can use without a definition: words of Lua, its libraries, and what Redis adds.
KNOWN = frozenset(
    re.findall(
        r"\w+",
        """and break do else elseif end false for function if in local nil not or repeat return then true until while
        ipairs pairs pcall rawget setmetatable tonumber tostring type unpack math string table redis cjson ARGV""",
    )
)


def names_in(text):
    """Returns the names that a script uses and those that it defines, without fields of tables."""
    code = re.sub(r"\[==\[.*?\]==\]|--.*|'[^'\n]*'", " ", text)
    defined = set(re.findall(r"\bfunction (\w+)", code))
    for each in re.findall(
        r"\b(?:local|for) (?!function\b)([\w, ]+?)\s*(?:=|\bin\b|\n|$)|function[ \w.]*\(([^)]*)\)", code
    ):
        defined |= set(re.findall(r"\w+", " ".join(each)))
    fields = re.sub(r"[{,]\s*\w+ = ", "{", code)  # of a table
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", fields)), defined


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_a_script_is_defined(name):
    used, defined = names_in(source(name))
    assert used - defined - KNOWN == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_function_of_an_included_part_exists(name):
    text = source(name)
    parts = "|".join(path.stem for path in (LUA / "include").iterdir())
    used = set(re.findall(rf"\b((?:{parts})\.\w+)", re.sub(r"--.*|keys\.\w+", "", text)))
    parameters = {f"tuning.{name}" for name in re.findall(r"^  ([A-Z_]+) = ", text, re.M)}
    assert used <= set(re.findall(r"^function ([\w.]+)", text, re.M)) | parameters | {"clock.now", "clock.text"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_script_includes_what_it_uses_and_no_more(path):
    text = path.read_text("utf-8")
    included = {part for line in re.findall(r"^-- include: (.+)$", text, re.M) for part in line.split(", ")}
    parts = {each.stem for each in (LUA / "include").iterdir()} - {path.stem}
    code = re.sub(r"--.*|keys\.\w+|request\.\w+", "", text)
    assert included == {part for part in parts if re.search(rf"\b{part}\.\w", code)}


def test_undefined_names_are_found():
    used, defined = names_in("local a = 1\nfor _, b in ipairs({c = a}) do redis.call('d', b, e.f) end")
    assert used - defined - KNOWN == {"e"}


def test_a_key_has_the_same_name_in_a_script_as_in_python():
    keys = Keys("p")
    assert keys.leases == "p:leases"
    assert "leases = prefix .. ':leases'" in source("jobs/claim")
    assert keys.events("j") == "p:job:j:events"
    assert "events = function(first) return prefix .. ':job:' .. first .. ':events' end" in source("jobs/claim")
    assert keys.report_held("notes", "2026-01-01") == "p:reports:notes:2026-01-01:held"


def test_scripts_for_two_queues_differ_in_the_name_alone():
    assert source("jobs/create", "some-queue").replace("some-queue", "threadmill") == source("jobs/create")


def test_a_part_stands_before_those_that_include_it():
    for name in NAMES:
        parts = scripts._parts(name)
        assert len(set(parts)) == len(parts)
        for number, part in enumerate(parts):
            assert set(scripts._parts(part)[:-1]) <= set(parts[:number])
