"""Profiles in files: what is written reads the same, and what is wrong is told with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.errors import InvalidProfile
from threadmill.settings.profile import Profile
from threadmill.settings.profile_files import read_profiles
from threadmill_cli.rendering.profile import as_toml

NUMBERS = st.integers() | st.floats(allow_nan=False)


def objects():
    leaves = st.booleans() | NUMBERS | st.text()
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
    )
    return st.dictionaries(st.text().filter(lambda name: name != "file_search"), values, max_size=4)


LINES = st.lists(st.text() | st.sampled_from(["", " indented", "- item", "trailing ", "# no comment", "'''", '"""']))
TEXTS = st.text(max_size=200) | LINES.map("\n".join).filter(lambda text: len(text) <= 256)


def profiles():
    words = st.text(min_size=1, max_size=64).filter(lambda name: name != "threadmill")
    return st.builds(
        Profile,
        model=st.text(min_size=1),
        name=st.none() | TEXTS,
        description=st.none() | TEXTS,
        instructions=st.none() | TEXTS,
        tools=st.lists(st.text() | objects(), max_size=4).map(tuple),
        tool_resources=st.none() | objects(),
        response_format=st.none() | st.text() | objects(),
        reasoning_effort=st.none() | st.text(),
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        metadata=st.dictionaries(words, st.text(max_size=99), max_size=4),
    )


@given(profiles())
def test_a_profile_reads_as_it_was_written(tmp_path_factory, profile):
    file = tmp_path_factory.getbasetemp() / "support.toml"
    file.write_bytes(as_toml(profile).encode())
    assert read_profiles(file) == {"support": profile}


def test_null_fields_are_left_out_where_they_mean_nothing():
    tool = {"type": "function", "function": {"name": "f", "strict": None, "parameters": {"enum": ["a"]}}}
    assert "strict" not in as_toml(Profile(model="m", tools=(tool,)))
    tool["function"]["parameters"] = {"properties": {"a": {"default": None}}}
    with pytest.raises(InvalidProfile, match="`tools` has a null, which TOML cannot express; to see it: --json"):
        as_toml(Profile(model="m", tools=(tool,)))


def test_instructions_stand_in_lines_of_their_own():
    profile = Profile(model="m", instructions="Be brief.\n\n客服:\n  - kind\n")
    assert 'instructions = """\nBe brief.\n\n客服:\n  - kind\n"""' in as_toml(profile)


def test_a_file_may_hold_several(tmp_path):
    text = '[profiles.support]\nmodel = "a"\n[profiles.sales]\nmodel = "b"\ntools = ["weather"]\n'
    (tmp_path / "team.toml").write_text(text)
    assert read_profiles(tmp_path / "team.toml") == {
        "support": Profile(model="a"),
        "sales": Profile(model="b", tools=("weather",)),
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.toml", 'model = "m"\nmodle = "x"\n', ": unknown field `modle`; a profile has model, name, "),
        ("p.toml", 'name = "x"\n', ": `model` is missing; add it"),
        ("p.toml", 'model = "m"\nmetadata.version = 2\n', ": `metadata.version` should be a text: put 2 in quotes"),
        ("p.toml", 'model = "m"\ntemperature = 3\n', ": `temperature`: Input should be less than or equal to 2"),
        ("p.toml", 'model = "m"\ntemperature = "hot"\n', ": `temperature`: Input should be a valid number"),
        ("p.toml", '[profiles.b]\nmodel = "m"\ntop_p = "x"\n', ": `profiles.b.top_p`: "),
        ("p.toml", 'model = "m"\nmetadata.threadmill = "x"\n', ": `metadata`: the key `threadmill` is reserved"),
        ("p.toml", 'model = "m"\ntool_resources.file_search.vector_stores = []\n', "name it in vector_store_ids"),
        ("p.toml", "", ": it holds no profile; a profile needs at least `model`"),
        ("p.toml", 'redis_url = "x"\n[profiles.a]\nmodel = "m"\n', ": it holds `redis_url` besides `profiles`; move"),
        ("p.toml", '[profiles."a/b"]\nmodel = "m"\n', ": 'a/b' is not a profile name: use letters, digits"),
        ("a b.toml", 'model = "m"\n', ": 'a b' is not a profile name"),
        ("p.toml", "model = \n", ": this is not TOML: Invalid value (at line 1, column 9)"),
        ("p.toml", f"model = {'[' * 9000}", ": this is not TOML: "),
        ("p.yaml", "model: m\n", ": profiles are TOML files; convert it to p.toml"),
        ("p.json", "{}", ": the name of a profile's file must end in .toml"),
        ("p.toml", None, ": there is no such file; correct the path"),
    ],
)
def test_a_mistake_is_reported_with_its_position(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidProfile) as refused:
        read_profiles(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
