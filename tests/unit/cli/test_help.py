"""What every command's help shows, whoever wrote the command."""

import inspect

import pytest
import typer.main
from typer.testing import CliRunner

from threadmill_cli import app
from threadmill_cli.command import examples
from threadmill_cli.root import ELSEWHERE, PANELS
from threadmill_emulator.__main__ import arguments

ROOT = typer.main.get_command(app)


def commands(group=ROOT, path=()):
    """Each command and group of the app, with the words that call it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


#: Commands whose examples leave out their last word.
SHORT = {("batch", "run"): ("batch",), ("jobs", "list"): ("jobs",)}

#: All but the emulator, whose help is its own.
COMMANDS = [(path, command) for path, command in commands() if path != ("emulator",)]


def help_of(path, option="-h", columns="80"):
    done = CliRunner().invoke(app, [*path, option], prog_name="threadmill", env={"COLUMNS": columns})
    assert done.exit_code == 0, done.output
    return done.stdout


def words(value):
    return " ".join(value) if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=words)
def test_the_help_of_every_command(path, command):
    shown = help_of(path)
    assert "<bool>" not in shown, "a flag has no type"
    usage = shown.split("Usage:")[1].splitlines()[0]
    assert not any(odd in usage for odd in ("[[", "]]", "...]...", "......", "{"))
    lines = examples_in(shown)
    assert lines
    for line in lines:
        assert f"threadmill {' '.join(SHORT.get(path, path))}" in line, "however narrow the terminal"
        assert " | " not in line


def examples_in(shown):
    lines = [line.strip() for line in shown.rstrip().splitlines()]
    start = next(number for number, line in enumerate(lines) if line in ("Example:", "Examples:"))
    return lines[start + 1 :]


def test_the_long_option_shows_the_same_help():
    assert help_of(("report", "run"), "--help") == help_of(("report", "run"), "-h")


def test_an_example_is_not_wrapped():
    long = "threadmill submit " + "word " * 40
    assert examples("a", long).splitlines() == ["Examples:", "  a", f"  {long}"]
    assert "--template-file letter.html.j2 --only succeeded\n" in help_of(("batch", "export"), columns="60")


def test_every_command_has_a_panel():
    listed = {name for names in PANELS.values() for name in names}
    assert {path[0] for path, _ in commands()} <= listed, "add the new command to PANELS in threadmill_cli/root.py"


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=words)
def test_a_list_shows_the_first_paragraph_of_a_commands_help(path, command):
    group = ROOT
    for name in path[:-1]:
        group = group.commands[name]
    listed = group.get_command(None, path[-1]).help
    first_paragraph = " ".join(inspect.cleandoc(command.help).split("\n\n")[0].split())
    assert " ".join(listed.split("\n\n")[0].split()) == first_paragraph, "correct the line of its `Later`"


def test_the_panels_come_in_the_order_of_use():
    shown = help_of(())
    places = [shown.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    assert "─ Commands ─" not in shown
    assert shown.index("submit") < shown.index("batch")


def test_threadmill_alone_shows_its_help():
    done = CliRunner().invoke(app, [], prog_name="threadmill", env={"COLUMNS": "80"})
    assert done.exit_code == 2
    assert "─ Run ─" in done.output


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        (["status", "x"], "threadmill jobs show JOB"),
        (["batch-status", "x"], "threadmill batch show NAME"),
        (["cancel", "--batch", "x"], "threadmill batch cancel NAME"),
    ],
)
def test_a_name_that_no_command_has_is_answered_by_the_right_one(typed, instead):
    done = CliRunner().invoke(app, typed, prog_name="threadmill", env={"COLUMNS": "200"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert instead in done.stderr


def test_the_table_of_other_names_names_commands():
    known = {path for path, _ in commands()}
    for name, instead in ELSEWHERE.items():
        assert (name,) not in known
        for words in instead.split(" or threadmill "):
            assert tuple(words.split()[:2]) in known


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["batch", "notes"], ["batch", "run", "notes"]),
        (["batch"], ["batch", "run"]),
        (["batch", "run", "list"], ["batch", "run", "list"]),
        (["jobs"], ["jobs", "list"]),
        (["threads"], ["threads", "list"]),
        (["assistants"], ["assistants", "list"]),
    ],
)
def test_the_short_form_of_a_group_is_its_default_command(typed, meant):
    short, long = (CliRunner().invoke(app, [*words, "--colour"], prog_name="threadmill") for words in (typed, meant))
    assert short.exit_code == long.exit_code == 2
    assert f"threadmill {' '.join(meant[:2])}" in short.stderr
    assert short.stderr == long.stderr


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("threadmill sub", ["submit"]),
        ("threadmill config ", ["show"]),
        ("threadmill submit --end", ["--endpoint"]),
        ("threadmill jobs s", ["show"]),
        ("threadmill jobs --sta", ["--state"]),
        ("threadmill jobs --state f", ["failed"]),
        ("threadmill batch --prompt-f", ["--prompt-file"]),
        ("threadmill batch notes/ --prompt-f", ["--prompt-file"]),
        ("threadmill worker --log-level w", ["warning"]),
    ],
)
def test_bash_completes(typed, expected):
    variables = {"_THREADMILL_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = CliRunner().invoke(app, [], prog_name="threadmill", env=variables)
    assert done.stdout.split() == expected


def test_the_emulator_has_its_name_and_refuses_invalid_ports(capsys):
    with pytest.raises(SystemExit):
        arguments(["--help"])
    assert capsys.readouterr().out.startswith("usage: threadmill emulator ")
    for port in ("99999", "-1", "http"):
        with pytest.raises(SystemExit) as refused:
            arguments(["--port", port])
        assert refused.value.code == 2
        assert "give a number from 0 to 65535" in capsys.readouterr().err
    assert arguments(["--port", "0"]).port == 0


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_the_emulator_refuses_a_duration_that_is_none(capsys, value):
    with pytest.raises(SystemExit) as refused:
        arguments([f"--run-s={value}"])
    assert refused.value.code == 2
    assert f"--run-s: '{value}' is not a duration" in capsys.readouterr().err


def test_what_follows_the_command_of_local_belongs_to_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    taken = []
    monkeypatch.setattr("threadmill_cli.commands.operate.services._run", lambda command, *_: taken.append(command) or 0)

    class Opened:
        settings, variables, check = None, {}, None

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("threadmill_cli.commands.operate.services.open_environment", Opened)
    for typed in (["psql", "-h", "host"], ["--", "psql", "-h", "host"]):
        assert CliRunner().invoke(app, ["local", *typed]).exit_code == 0
    assert taken == [["psql", "-h", "host"]] * 2
