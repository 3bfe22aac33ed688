"""`threadmill assistants`: what stands in a file is made so on a server, and what is on a server goes into a file."""

import json
import tomllib

import httpx
import pytest

from threadmill import Client, InvalidJob
from threadmill.settings.profile import Profile
from threadmill.store.records.remote import Applied
from threadmill_worker.admin.assistants import ProfileRequest, apply_profiles, delete_assistants, list_assistants
from threadmill_worker.drivers.assistants import provisioning

pytestmark = pytest.mark.integration

PROFILE = """\
model = "emulator-1"
name = "Customer service"
instructions = '''
You answer customers.

客服: be brief.
Never promise refunds.
'''
tools = [
  "file_search",
  "weather",
  { type = "function", function = { name = "orders", parameters.type = "object", parameters.properties.id = {} } },
]
temperature = 0.5
response_format = { type = "text" }
metadata = { team = "support" }
"""


@pytest.fixture
def emulator(emulator):
    """Without the assistants it comes with."""
    emulator.emulator.state.assistants.clear()
    return emulator


@pytest.fixture
def settings(make_settings, base_url, tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text('def weather(city: str) -> str:\n    "Weather of a city."\n    return "fair"\n')
    monkeypatch.syspath_prepend(tmp_path)
    settings = make_settings(base_url, tools={"weather": "shop:weather"})
    here = settings.endpoints["emulator"]
    with_keys = here.model_copy(update={"api_key_env": "TEST_KEY"})
    return settings.model_copy(update={"endpoints": {"emulator": here, "twin": here, "keyed": with_keys}})


@pytest.fixture
def cli(run_cli, settings, settings_as_environment, tmp_path):
    (tmp_path / "support.toml").write_text(PROFILE)
    variables = settings_as_environment(settings)
    return lambda *arguments, **more: run_cli("assistants", *arguments, **{**variables, **more})


@pytest.fixture
def http(emulator):
    headers = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}
    with httpx.Client(base_url=emulator.base_url, headers=headers) as http:
        yield http


@pytest.fixture
def on_server(http):
    """The assistants there, by id."""
    return lambda: {each["id"]: each for each in http.get("/assistants").json()["data"]}


def test_applying_creates_then_leaves_alone_then_updates_the_same(cli, settings, on_server, tmp_path):
    created = cli("apply", "support.toml", "--yes")
    [(id, there)] = on_server().items()
    assert (created.returncode, created.stdout) == (0, f"support  emulator  {id}  created\n"), created.stderr
    assert "support: a new assistant on emulator" in created.stderr
    assert "to use it: threadmill submit --profile support ..." in created.stderr
    assert there["instructions"] == tomllib.loads(PROFILE)["instructions"]
    assert [tool["type"] for tool in there["tools"]] == ["file_search", "function", "function"]
    assert there["tools"][1]["function"]["description"] == "Weather of a city."
    assert there["metadata"] == {"team": "support", "threadmill": "profile/support"}
    assert Client(settings).store.assistant_of("emulator", "support") == id

    again = cli("apply", "support.toml")
    assert (again.returncode, again.stdout) == (0, f"support  emulator  {id}  unchanged\n")

    changed = PROFILE.replace("be brief", "be kind").replace("temperature = 0.5\n", "").replace('  "weather",\n', "")
    (tmp_path / "support.toml").write_text(changed)
    dry = cli("apply", "support.toml", "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, f"support  emulator  {id}  would be updated\n")
    refused = cli("apply", "support.toml")
    assert (refused.returncode, refused.stdout) == (2, dry.stdout)
    assert "nothing changed: pass --yes to apply" in refused.stderr
    assert on_server()[id]["temperature"] == 0.5
    for line in ("    -客服: be brief.", "    +客服: be kind.", "     Never promise refunds.", "    -0.5", "    +1.0"):
        assert line in refused.stderr.splitlines()

    updated = cli("apply", "support.toml", "--yes", "--json")
    assert updated.returncode == 0, updated.stderr
    [report] = json.loads(updated.stdout)
    assert (report["id"], report["outcome"], set(report["changes"])) == (
        id,
        "updated",
        {"instructions", "temperature", "tools"},
    )
    [(same, there)] = on_server().items()
    assert (same, there["temperature"], len(there["tools"])) == (id, 1.0, 2)
    assert there["metadata"] == {"team": "support", "threadmill": "profile/support"}
    assert cli("apply", "support.toml").stdout == f"support  emulator  {id}  unchanged\n"


def test_what_someone_changed_on_the_server_is_shown_and_set_right(cli, on_server, http):
    cli("apply", "support.toml", "--yes")
    [id] = on_server()
    http.post(f"/assistants/{id}", json={"instructions": "Be rude.", "metadata": {}})

    updated = cli("apply", "support.toml", "--yes")
    assert updated.stdout == f"support  emulator  {id}  updated\n"
    assert "    -Be rude." in updated.stderr
    assert on_server()[id]["metadata"] == {"team": "support", "threadmill": "profile/support"}


def test_one_that_is_gone_is_made_anew(cli, on_server, http):
    cli("apply", "support.toml", "--yes")
    [old] = on_server()
    http.delete(f"/assistants/{old}")
    assert f"support was applied to {old}, which the server does not list" in cli("list").stderr

    anew = cli("apply", "support.toml", "--yes")
    [new] = on_server()
    assert f"profile support was applied to {old}, which no longer exists on the server" in anew.stderr
    assert (anew.stdout, new != old) == (f"support  emulator  {new}  created\n", True)


def test_the_settings_profiles_are_applied_where_no_file_is_named(cli, on_server, settings):
    profiles = json.dumps({"a": {"model": "emulator-1"}, "b": {"model": "emulator-1", "name": "B"}})
    applied = cli("apply", "--yes", THREADMILL_PROFILES=profiles)

    assert [line.split()[0::3] for line in applied.stdout.splitlines()] == [["a", "created"], ["b", "created"]]
    only = cli("apply", "--profile", "b", THREADMILL_PROFILES=profiles)
    assert only.stdout.split()[0::3] == ["b", "unchanged"]
    assert len(on_server()) == 2


def test_an_export_applied_elsewhere_is_the_same(
    cli, http, on_server, emulate, settings, settings_as_environment, tmp_path
):
    cli("apply", "support.toml", "--yes")
    [id] = on_server()
    with emulate() as elsewhere:
        twin = settings.endpoints["twin"].model_copy(update={"base_url": elsewhere.base_url})
        moved = settings.model_copy(update={"endpoints": settings.endpoints | {"twin": twin}})
        variables = settings_as_environment(moved)
        exported = cli("export", "support", "--out", "moved.toml", **variables)
        assert (exported.returncode, exported.stdout) == (0, ""), exported.stderr
        applied = cli("apply", "moved.toml", "--endpoint", "twin", "--yes", **variables)
        assert applied.returncode == 0, applied.stderr
        theirs = json.loads(cli("show", "moved", "--endpoint", "twin", "--json", **variables).stdout)
        ours = json.loads(cli("show", id, "--json", **variables).stdout)
        assert theirs["profile"] == ours["profile"]
    assert cli("export", "support").stdout == (tmp_path / "moved.toml").read_text()
    refused = cli("export", "support", "--out", "moved.toml")
    assert (refused.returncode, refused.stderr.count("--force")) == (2, 1)


def test_what_an_export_cannot_carry_over_is_said(cli, http):
    table = http.post("/files", files={"file": ("a.csv", b"a,b")}, data={"purpose": "assistants"}).json()["id"]
    fields = {"model": "emulator-1", "tool_resources": {"code_interpreter": {"file_ids": [table]}}}
    id = http.post("/assistants", json=fields).json()["id"]

    exported = cli("export", id)
    assert tomllib.loads(exported.stdout) == fields
    assert "tool_resources name files or vector stores of emulator" in exported.stderr


def test_they_are_listed_with_the_profiles_they_came_from(cli, http, on_server):
    cli("apply", "support.toml", "--yes")
    [ours] = on_server()
    other = http.post("/assistants", json={"model": "emulator-1", "metadata": {"threadmill": "profile/x"}}).json()["id"]

    listed = cli("list").stdout.splitlines()
    assert sorted(listed) == sorted(
        [
            f"{ours}  Customer service  emulator-1  file_search, weather, orders  profile support",
            f"{other}  -  emulator-1  no tools  profile x (by its tag)",
        ]
    )
    assert cli().stdout.splitlines() == listed
    assert {each["id"]: each["applied"] for each in json.loads(cli("list", "--json").stdout)} == {
        ours: ["support"],
        other: [],
    }
    assert cli("show", "support").stdout.startswith(f"# {ours} of emulator, created 20")


def test_deleting_asks_or_needs_yes_and_forgets_the_profile(cli, on_server, settings):
    cli("apply", "support.toml", "--yes")
    [id] = on_server()

    refused = cli("delete", "support")
    assert (refused.returncode, refused.stdout, list(on_server())) == (2, "", [id])
    assert f"to delete: {id} of emulator, the assistant of profile support" in refused.stderr
    deleted = cli("delete", "support", "asst_gone", "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, f"{id}  deleted\nasst_gone  gone already\n")
    assert on_server() == {}
    assert Client(settings).store.assistants() == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--endpoint", "nowhere"), "there is no endpoint 'nowhere'; the settings have emulator, keyed, twin"),
        (("list", "--endpoint", "keyed"), "endpoint 'keyed' needs its key in TEST_KEY, which is not set"),
        (
            ("show", "asst_none"),
            "endpoint 'emulator' has no assistant 'asst_none', and no profile of this name was applied to it",
        ),
        (("show", "../threads"), "endpoint 'emulator' has no assistant '../threads'"),
        (("export", "x", "--out", "x.json"), "x.json: the name of a profile's file must end in .toml"),
        (("apply",), "there are no profiles in threadmill.toml: name a FILE, or add [profiles.NAME]"),
        (("apply", "support.toml", "--profile", "x"), "there is no profile 'x' in support.toml; it has support"),
        (("apply", "none.toml"), "none.toml: there is no such file"),
        (("apply", "odd.toml"), "there is no tool 'nothing' (known: file_search, code_interpreter, weather)"),
    ],
)
def test_a_mistake_is_told_in_one_line(cli, tmp_path, arguments, said):
    (tmp_path / "odd.toml").write_text('model = "m"\ntools = ["nothing"]\n')
    refused = cli(*arguments)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith(f"threadmill: {said}")


@pytest.mark.emulated(api_key="sk-right-and-long-enough")
def test_a_wrong_key_is_told_in_one_line_without_it(cli):
    refused = cli("apply", "support.toml", "--endpoint", "keyed", "--yes", TEST_KEY="sk-wrong-key-1234")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "; check the key in TEST_KEY" in refused.stderr
    assert "sk-wrong-key-1234" not in refused.stderr


def test_a_server_that_is_not_there_is_told_in_one_line(run_cli, make_settings, settings_as_environment):
    variables = settings_as_environment(make_settings("http://127.0.0.1:9/v1"))
    refused = run_cli("assistants", "list", **variables)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith("threadmill: endpoint 'emulator': ")
    assert "is the server up? check base_url (http://127.0.0.1:9/v1)" in refused.stderr


def request(name="support", id=None, **fields):
    profile = Profile(**{"model": "emulator-1", "instructions": "Be kind.", **fields})
    return ProfileRequest(name, profile, id)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_500", "malformed", "html"])
@pytest.mark.parametrize("route", ["assistants.create", "assistants.modify", "assistants.list", "assistants.delete"])
async def test_one_lost_reply_makes_no_second_assistant(emulator, settings, monkeypatch, fault, route):
    monkeypatch.setattr(provisioning, "_PAUSES_S", (0.01, 0.02))
    emulator.faults(**{fault: 1}, only=route, times=1)
    [created] = await apply_profiles(settings, "emulator", [request()])
    emulator.faults(**{fault: 1}, only=route, times=1)
    changed = request(id=created.id, instructions="Be brief.")
    [updated] = await apply_profiles(settings, "emulator", [changed])

    assert (created.outcome, updated.outcome, updated.id) == ("created", "updated", created.id)
    [there] = await list_assistants(settings, "emulator")
    assert (there.id, there.made_from) == (created.id, "support")
    assert there.profile["instructions"] == "Be brief."
    deleted = await delete_assistants(settings, "emulator", [created.id])
    assert deleted[created.id].outcome in ("deleted", "gone already")
    assert await list_assistants(settings, "emulator") == []


async def test_one_that_we_lost_sight_of_is_found_by_its_mark(emulator, settings):
    [created] = await apply_profiles(settings, "emulator", [request()])
    [found] = await apply_profiles(settings, "emulator", [request(id="asst_of_old")])
    assert (found.id, found.outcome, found.found, found.lost) == (
        created.id,
        "unchanged",
        True,
        "asst_of_old",
    )


async def test_a_refused_profile_does_not_hold_up_the_others(emulator, settings):
    odd = request("odd", model="m", reasoning_effort="enormous")
    refused, created = await apply_profiles(settings, "emulator", [odd, request()])
    assert refused.failure.startswith("400 ")
    assert created.outcome == "created"


async def test_a_long_list_is_followed_to_its_end(emulator, settings, http):
    ids = {http.post("/assistants", json={"model": "emulator-1"}).json()["id"] for _ in range(120)}
    assert {each.id for each in await list_assistants(settings, "emulator")} == ids


async def test_a_job_runs_on_the_assistant_of_its_profile(worker, emulator, settings):
    [applied] = await apply_profiles(settings, "emulator", [request()])
    with pytest.raises(InvalidJob, match=r"not applied to endpoint 'emulator': threadmill assistants apply"):
        worker.create(profile="support")
    stored = Applied(id=applied.id, applied_at="2026-11-21T00:00:00Z", digest=applied.digest)
    worker.client.store.set_assistant("emulator", "support", stored)

    result = await worker.run(profile="support")
    assert result.ok
    [run] = emulator.sent("POST", "/runs")
    assert run.json["assistant_id"] == applied.id
    with pytest.raises(InvalidJob, match="leave one of them out"):
        worker.create(profile="support", assistant="asst_x")


def test_under_local_a_profile_is_refused_before_anything_starts(run_cli):
    refused = run_cli("submit", "Well?", "--profile", "support", "--endpoint", "emulator", "--local")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "profile 'support' cannot be used with --local" in refused.stderr
