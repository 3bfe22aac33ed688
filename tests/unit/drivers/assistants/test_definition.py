"""Where an assistant differs from its profile: by what people change, not by what servers add by themselves."""

import pytest

from threadmill.settings.profile import Profile
from threadmill_cli.rendering.differences import differences
from threadmill_worker.drivers.assistants.definition import body_of, changes, digest, said, shown, unknown, wanted

SEARCH = {"type": "file_search"}
ORDERS = {
    "type": "function",
    "function": {"name": "orders", "parameters": {"type": "object", "properties": {"id": {}}}},
}
PROFILE = Profile(model="m", instructions="Be kind.", metadata={"team": "support"})


def server(**fields):
    """What a server with habits of its own makes of it."""
    return {
        "id": "asst_1",
        "object": "assistant",
        "created_at": 1,
        "name": None,
        "description": "",
        "model": "m",
        "instructions": "Be kind.",
        "tools": [],
        "tool_resources": {"code_interpreter": {"file_ids": []}},
        "metadata": {"team": "support", "threadmill": "profile/support"},
        "temperature": 1,
        "top_p": None,
        "response_format": "auto",
        "reasoning_effort": None,
        **fields,
    }


def between(assistant, profile=PROFILE, tools=(), applied=False):
    return changes(shown(assistant), wanted(profile, list(tools)), applied=applied)


def test_empty_fields_are_not_a_difference():
    assert between(server()) == {}
    assert between({"id": "asst_1", "model": "m", "instructions": "Be kind.", "metadata": {"team": "support"}}) == {}
    loose = {**ORDERS, "function": {**ORDERS["function"], "strict": False, "description": None}}
    assert between(server(tools=[loose]), tools=[ORDERS]) == {}


@pytest.mark.parametrize(
    ("there", "field"),
    [
        ({"model": "n"}, "model"),
        ({"instructions": None}, "instructions"),
        ({"temperature": 0}, "temperature"),
        ({"tools": [SEARCH]}, "tools"),
        ({"metadata": {"team": "support", "by": "hand"}}, "metadata"),
        ({"tool_resources": {"code_interpreter": {"file_ids": ["file-a"]}}}, "tool_resources"),
        ({"response_format": {"type": "text"}}, "response_format"),
    ],
)
@pytest.mark.parametrize("applied", [True, False])
def test_what_someone_changed_is_one(there, field, applied):
    assert list(between(server(**there), applied=applied)) == [field]


def test_what_the_server_added_to_what_was_applied_is_none():
    grown = {**SEARCH, "file_search": {"ranking_options": {"ranker": "default", "score_threshold": 0.0}}}
    assert between(server(tools=[grown]), tools=[SEARCH], applied=True) == {}
    fewer = {**ORDERS, "function": {**ORDERS["function"], "parameters": {"type": "object"}}}
    assert list(between(server(tools=[ORDERS]), tools=[fewer], applied=False)) == ["tools"]
    assert list(between(server(tools=[fewer]), tools=[ORDERS], applied=True)) == ["tools"]


def test_an_update_says_what_is_to_be_as_by_default():
    resources = {"file_search": {"vector_store_ids": ["vs_1"]}, "code_interpreter": {"file_ids": ["file-a"]}}
    there = server(
        name="N", temperature=0.2, tools=[SEARCH], tool_resources=resources, response_format={"type": "text"}
    )
    asked = Profile(
        model="m", metadata={"team": "support"}, tool_resources={"code_interpreter": {"file_ids": ["file-b"]}}
    )
    assert body_of(between(there, asked)) == {
        "name": None,
        "instructions": None,
        "tools": [],
        "tool_resources": {"code_interpreter": {"file_ids": ["file-b"]}, "file_search": {"vector_store_ids": []}},
        "response_format": "auto",
        "temperature": 1.0,
    }


def test_an_assistant_is_written_down_by_what_it_says():
    assert said(shown(server())) == {"model": "m", "instructions": "Be kind.", "metadata": {"team": "support"}}
    assert unknown(server(file_ids=["file-a"], voice=None, tags=[])) == {"file_ids": ["file-a"]}
    odd = shown({"id": "asst_1", "tools": "none", "metadata": {"n": 7}, "tool_resources": ["x"]})
    assert said(odd) == {"metadata": {"n": "7"}}


def test_the_digest_is_of_the_content():
    assert digest(wanted(PROFILE, [])) == digest(wanted(Profile.model_validate(PROFILE.model_dump()), []))
    assert digest(wanted(PROFILE, [])) != digest(wanted(PROFILE, [SEARCH]))


def test_differences_read_line_by_line():
    before = "One.\nTwo.\nThree.\nFour.\nFive.\nSix."
    changed = {"model": ["m", "n"], "instructions": [before, before.replace("Five", "5")], "tools": [[], [SEARCH]]}
    assert [line.plain for line in differences(changed)] == [
        "  model",
        "    -m",
        "    +n",
        "  instructions",
        "    @@ -2,5 +2,5 @@",
        "     Two.",
        "     Three.",
        "     Four.",
        "    -Five.",
        "    +5.",
        "     Six.",
        "  tools",
        "    @@ -0,0 +1,5 @@",
        "    +[",
        "    +  {",
        '    +    "type": "file_search"',
        "    +  }",
        "    +]",
    ]
    assert [line.style for line in differences({"name": [None, "N"]})] == ["", "green"]
