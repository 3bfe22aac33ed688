"""The settings file gets a new endpoint and keeps all that it has."""

import os
import tomllib
from pathlib import Path

import pytest

from threadmill.errors import SettingsError
from threadmill_cli.commands.set_up.settings_file import check_free, read_text, settings_file, with_endpoint, write_text

LINES = '[endpoints.mine]\nkind = "chat"\nbase_url = "http://127.0.0.1:8000/v1"\n'
FILE = Path("threadmill.toml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "redis_url = 'redis://localhost:6379/0'",
        "# a comment\n[endpoints.other]\nkind = 'davinci'\n\n[endpoints.other.supports]\nfiles = true\n",
        "[tools]\nstock = 'shop:stock'  # ours",
        "endpoints.other.kind = 'davinci'\n",
    ],
)
def test_the_table_is_added_and_the_rest_stays(text):
    whole = with_endpoint(text, "mine", LINES, FILE)
    assert whole.startswith(text)
    assert whole.endswith(LINES)
    settings = tomllib.loads(whole)
    assert settings["endpoints"].pop("mine")["kind"] == "chat"
    assert {"endpoints": {}, **settings} == {"endpoints": {}, **tomllib.loads(text)}


def test_settings_that_are_not_valid_are_never_written():
    for lines in ("[endpoints.mine", "[endpoints.other]\n", "[endpoints.mine]\nkind = 'chat'\n", LINES + "[more]\n"):
        with pytest.raises(SettingsError):
            with_endpoint("", "mine", lines, FILE)


@pytest.mark.parametrize(
    "text",
    [
        "endpoints = { other = { kind = 'davinci' } }\n",
        "[[endpoints]]\nkind = 'x'\n",
    ],
)
def test_a_file_that_no_table_can_be_added_to_gets_none(text):
    with pytest.raises(SettingsError, match="add these lines yourself") as raised:
        with_endpoint(text, "mine", LINES, FILE)
    assert LINES in str(raised.value)


def test_a_name_that_is_taken_is_told():
    with pytest.raises(SettingsError, match=r"has an endpoint 'mine' already: .*`threadmill doctor mine`"):
        check_free(LINES, "mine", FILE)
    check_free(LINES, "other", FILE)
    check_free("[[endpoints]]\nkind = 'x'\n", "other", FILE)


def test_a_file_that_is_no_toml_is_told():
    with pytest.raises(SettingsError, match="is not valid TOML"):
        check_free("[endpoints", "mine", FILE)


def test_a_new_file_is_readable_by_all_and_an_old_one_keeps_its_mode(tmp_path):
    file = tmp_path / "threadmill.toml"
    mask = os.umask(0o022)
    try:
        write_text(file, "a")
        assert file.stat().st_mode & 0o777 == 0o644
        file.chmod(0o640)
        write_text(file, "b")
    finally:
        os.umask(mask)
    assert (file.stat().st_mode & 0o777, read_text(file)) == (0o640, "b")
    assert os.listdir(tmp_path) == ["threadmill.toml"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "settings.toml", tmp_path / "threadmill.toml"
    real.write_text("a")
    link.symlink_to(real)
    write_text(link, "b")
    assert link.is_symlink()
    assert real.read_text() == "b"


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "threadmill.toml", "a")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot be written: .*--stdout prints it"):
        write_text(tmp_path / "nowhere" / "threadmill.toml", "a")


def test_the_file_is_the_one_that_threadmill_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings_file() == tmp_path / "threadmill.toml"
    monkeypatch.setenv("THREADMILL_CONFIG", str(tmp_path / "own.toml"))
    assert settings_file() == tmp_path / "own.toml"
    assert read_text(settings_file()) == ""
