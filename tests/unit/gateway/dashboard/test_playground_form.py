"""The form of the playground, and what it is as a command and as a profile."""

import json
import shlex
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData

from threadmill.errors import InvalidJob
from threadmill.job.events.event import Event, EventKind
from threadmill.job.prompt import PromptJob
from threadmill.settings.profile import Profile
from threadmill.settings.settings import Settings
from threadmill_gateway.dashboard.live_job import Written
from threadmill_gateway.dashboard.playground.form import Choices, Typed
from threadmill_gateway.dashboard.playground.saved import saved, toml

SCHEMA = {"type": "object", "properties": {"a-b": {"type": "string"}}}
NONE: dict[str, str] = {}


def test_a_form_becomes_a_job():
    form = FormData([("prompt", "Two\r\nlines"), ("tools", "a"), ("tools", "b"), ("timeout_s", "50"), ("other", "x")])
    job = Typed.of(form).job(("file-tm-" + "0" * 32,), ("file-tm-" + "1" * 32,))
    assert (job.prompt, job.tools, job.timeout_s, job.keep_thread) == ("Two\nlines", ("a", "b"), 50, False)
    assert job.images == ("upload:file-tm-" + "0" * 32,)
    assert job.files[0].upload == "file-tm-" + "1" * 32


@pytest.mark.parametrize(
    "typed",
    [Typed(), Typed("Well?", timeout_s="soon"), Typed("Well?", response_format="json_schema", schema="[" * 9999)],
)
def test_what_is_no_job_is_refused(typed):
    with pytest.raises(InvalidJob):
        typed.job()


def test_the_form_offers_what_endpoints_can_use():
    profiles = {"brief": Profile(model="m")}
    settings = Settings.model_validate({"endpoints": {"r": {"kind": "responses"}}, "profiles": profiles})
    choices = Choices.of(settings, {("emulator", "applied"), ("gone", "applied")})
    assert choices.profiles["applied"] == ("emulator",)
    assert "r" in choices.profiles["brief"]


def test_a_command_does_the_same():
    job = PromptJob(prompt="It's {new}", endpoint="e", model="m", tools=("a",), priority="low", keep_thread=True)
    made = saved(job, Settings(), NONE)
    words = shlex.split(made.submit)
    assert words[:2] == ["threadmill", "submit"]
    assert words[-1] == "It's {new}"
    assert " --endpoint e --model m --tool a --priority low --keep-thread --follow " in made.submit
    assert "It's {new}\n\n{{ text }}" in shlex.split(made.batch)


def test_a_prompt_that_is_a_template_stays_one():
    assert "{{ text }}?" in shlex.split(saved(PromptJob(prompt="{{ text }}?"), Settings(), NONE).batch)


def test_a_schema_is_a_file_of_the_command():
    asked = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    made = saved(PromptJob(prompt="-x", model="m", response_format=asked), Settings(), NONE)
    assert json.loads(made.schema or "")["schema"] == SCHEMA
    assert made.submit.endswith("--json-schema schema.json --follow -- -x")
    [profile] = tomllib.loads(made.profile or "")["profiles"].values()
    assert Profile.model_validate(profile).response_format == asked


def test_uploads_have_the_names_of_their_owner():
    upload = "file-tm-" + "0" * 32
    job = PromptJob.parse({"prompt": "x", "images": [f"upload:{upload}"], "files": [{"upload": upload}]})
    assert "--image 'a b.png' --file 'a b.png'" in saved(job, Settings(), {upload: "a b.png"}).submit


def test_without_a_model_there_is_no_profile():
    assert saved(PromptJob(prompt="x", assistant="asst_1"), Settings(), NONE).profile is None


_JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_a_value_is_the_same_as_toml(value):
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value


def _event(kind, **fields):
    return Event(kind=kind, at="2026-11-29T00:00:00Z", **fields)


def test_what_followers_know_grows_with_events():
    written = Written()
    for event in (
        _event(EventKind.RUN, status="in_progress"),
        _event(EventKind.TOOL_CALL, call_id="c", name="clock", arguments="{}"),
        _event(EventKind.TEXT, text="It is "),
        _event(EventKind.TOOL_OUTPUT, call_id="c", output="9:00"),
        _event(EventKind.TEXT, text="nine"),
        _event(EventKind.MESSAGE, text="It is nine"),
    ):
        written = written.after(event)
    assert (written.text, written.status) == ("It is nine", "in_progress")
    assert [(call.name, call.output) for call in written.calls.values()] == [("clock", "9:00")]


def test_a_long_text_is_shown_by_its_end():
    written = Written()
    for _ in range(30):
        written = written.after(_event(EventKind.TEXT, text="x" * 999 + "y"))
    assert len(written.text) == 20_000
    assert written.text.endswith("y")
