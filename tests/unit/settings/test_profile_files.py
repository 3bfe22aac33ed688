"""Profiles in files: what is written reads the same, and what is wrong is told with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.errors import InvalidProfile
from threadmill.settings.profile import Profile
from threadmill.settings.profile_files import dump_profile, read_profiles

NUMBERS = st.integers() | st.floats(allow_nan=False)


def objects(*, nulls: bool):
    leaves = st.booleans() | NUMBERS | st.text() | (st.none() if nulls else st.nothing())
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
    )
    return st.dictionaries(st.text().filter(lambda name: name != "file_search"), values, max_size=4)


LINES = st.lists(st.text() | st.sampled_from(["", " indented", "- item", "trailing ", "# no comment", "'''", '"""']))
TEXTS = st.text(max_size=200) | LINES.map("\n".join).filter(lambda text: len(text) <= 256)


def profiles(*, nulls: bool):
    words = st.text(min_size=1, max_size=64).filter(lambda name: name != "threadmill")
    return st.builds(
        Profile,
        model=st.text(min_size=1),
        name=st.none() | TEXTS,
        description=st.none() | TEXTS,
        instructions=st.none() | TEXTS,
        tools=st.lists(st.text() | objects(nulls=nulls), max_size=4).map(tuple),
        tool_resources=st.none() | objects(nulls=nulls),
        response_format=st.none() | st.text() | objects(nulls=nulls),
        reasoning_effort=st.none() | st.text(),
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        metadata=st.dictionaries(words, st.text(max_size=99), max_size=4),
    )


def reread(folder, profile: Profile, form: str) -> Profile:
    file = folder / f"support.{form}"
    file.write_bytes(dump_profile(profile, form).encode())
    [(name, read)] = read_profiles(file).items()
    assert name == "support"
    return read


@given(profiles(nulls=True))
def test_any_profile_reads_from_yaml_as_it_was_written(tmp_path_factory, profile):
    assert reread(tmp_path_factory.getbasetemp(), profile, "yaml") == profile


@given(profiles(nulls=False))
def test_any_profile_without_nulls_reads_from_toml_as_it_was_written(tmp_path_factory, profile):
    assert reread(tmp_path_factory.getbasetemp(), profile, "toml") == profile


def test_a_null_that_toml_cannot_say_is_refused():
    profile = Profile(model="m", tools=({"type": "function", "function": {"name": "f", "strict": None}},))
    with pytest.raises(InvalidProfile, match="`tools` is null, which TOML cannot express: use YAML"):
        dump_profile(profile, "toml")


def test_instructions_stand_in_lines_of_their_own():
    profile = Profile(model="m", instructions="Be brief.\n\n客服:\n  - kind\n")
    assert "instructions: |\n  Be brief.\n\n  客服:\n    - kind\n" in dump_profile(profile, "yaml")
    assert 'instructions = """\nBe brief.\n\n客服:\n  - kind\n"""' in dump_profile(profile, "toml")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("team.toml", '[profiles.support]\nmodel = "a"\n[profiles.sales]\nmodel = "b"\ntools = ["weather"]\n'),
        ("team.yml", "profiles:\n  support: {model: a}\n  sales:\n    model: b\n    tools: [weather]\n"),
    ],
)
def test_a_file_may_hold_several(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_profiles(tmp_path / name) == {
        "support": Profile(model="a"),
        "sales": Profile(model="b", tools=("weather",)),
    }


def test_profiles_may_share_what_they_have_in_common(tmp_path):
    text = "profiles:\n  a: &base {model: m, tools: [{type: file_search}]}\n  b: {<<: *base, temperature: 0}\n"
    (tmp_path / "p.yaml").write_text(text)
    assert read_profiles(tmp_path / "p.yaml")["b"] == Profile(
        model="m", tools=({"type": "file_search"},), temperature=0
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.yaml", "model: m\nmodle: x\n", ", line 2: unknown field `modle`; a profile has model, name, "),
        ("p.yaml", "name: x\n", ": `model` is missing; add it"),
        (
            "p.yaml",
            "model: m\nmetadata:\n  version: 2\n",
            ", line 3: `metadata.version` should be a text: put 2 in quo",
        ),
        ("p.yaml", "model: m\ntemperature: 3\n", ", line 2: `temperature`: Input should be less than or equal to 2"),
        (
            "p.yaml",
            "profiles:\n  a:\n    model: m\n  b:\n    top_p: x\n    model: m\n",
            ", line 5: `profiles.b.top_p`: ",
        ),
        (
            "p.yaml",
            "model: m\ninstructions: a\ninstructions: b\n",
            ", line 3: `instructions` appears twice",
        ),
        ("p.yaml", "model: m\nmetadata: {threadmill: x}\n", ", line 2: `metadata`: the key `threadmill` is reserved"),
        ("p.yaml", "model: m\ntool_resources:\n  file_search: {vector_stores: []}\n", "name it in vector_store_ids"),
        ("p.yaml", "model: [\n", ", line 2: this is not YAML: "),
        ("p.yaml", "model: \x01\n", ": this is not YAML: "),
        (
            "p.yaml",
            "model: !!python/object/apply:os.getcwd []\n",
            ", line 1: this is not YAML: could not determine a co",
        ),
        ("p.yaml", "- m\n", ": it holds no profile; a profile needs at least `model`"),
        ("p.yaml", "", ": it holds no profile"),
        ("p.yaml", "a: &a [*a]\n", "a profile has model"),
        ("p.yaml", "[" * 9000, ": this is not YAML: "),
        (
            "p.yaml",
            "profiles: {a: {model: m}}\nredis_url: x\n",
            ": it holds `redis_url` besides `profiles`; move the pro",
        ),
        ("p.yaml", "profiles: {a/b: {model: m}}\n", ": 'a/b' is not a profile name: use letters, digits"),
        ("a b.yaml", "model: m\n", ": 'a b' is not a profile name"),
        ("p.toml", "model = \n", ": this is not TOML: Invalid value (at line 1, column 9)"),
        ("p.toml", 'model = "m"\ntemperature = "hot"\n', ": `temperature`: Input should be a valid number"),
        ("p.json", "{}", ": the name of a profile's file must end in .toml, .yaml or .yml"),
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
