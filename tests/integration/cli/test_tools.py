"""`threadmill tools`: what a worker with these settings offers."""

import json
import sys

import pytest
from tests import mcp_server

pytestmark = pytest.mark.integration

SETTINGS = f"""
[endpoints.gateway]
kind = "assistants"
base_url = "http://127.0.0.1:9/v1"
tool_timeout_s = 7

[tools]
stock = {{ function = "shop:stock", timeout_s = 20, repeatable = true }}

[tools.weather]
url = "https://api.example.com/v1/weather/{{city}}"
description = "Current weather of a city."
parameters = {{ type = "object", properties = {{ city = {{ type = "string" }} }}, required = ["city"] }}
concurrency = 4

[mcp.demo]
command = [{sys.executable!r}, {mcp_server.__file__!r}]
tools = ["add"]
"""

SHOP = '''
def stock(name: str, warehouse: int = 1) -> int:
    """How many there are.

    At this moment.
    """
    return 7
'''


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "threadmill.toml").write_text(SETTINGS)
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_each_endpoint_lists_tools_of_every_kind(shop, run_cli):
    done = run_cli("tools")

    assert (done.returncode, done.stderr) == (0, "")
    ours = [
        "  function  stock(name: string, warehouse?: integer)  20 s, repeatable  How many there are.",
        "  http      weather(city: string)  {limit} s, 4 at a time  Current weather of a city.",
        "  mcp       demo__add(a: integer, b: integer)  {limit} s  Adds two numbers.",
    ]
    lines = done.stdout.splitlines()
    assert lines[:4] == ["emulator", *(line.format(limit=120) for line in ours)]
    assert lines[4].startswith("  plugin    *  120 s  any function that is not listed")
    assert lines[5:] == ["gateway", *(line.format(limit=7) for line in ours)]


def test_one_endpoint_for_programs(shop, run_cli):
    done = run_cli("tools", "--endpoint", "gateway", "--json")

    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert list(found) == ["gateway"]
    assert [(tool["kind"], tool["name"], tool["timeout_s"]) for tool in found["gateway"]] == [
        ("function", "stock", 20),
        ("http", "weather", 7),
        ("mcp", "demo__add", 7),
    ]
    assert found["gateway"][1]["parameters"]["required"] == ["city"]


def test_what_is_broken_is_listed_with_the_reason(shop, run_cli):
    (shop / "shop.py").unlink()
    broken = SETTINGS.replace('["add"]', '["add", "subtract"]') + (
        '[mcp.gone]\ncommand = ["no-such-command-anywhere"]\n'
        '[tools.secret]\nurl = "https://x/"\nparameters = { type = "object" }\n'
        'headers_env = { Authorization = "NOT_SET" }\n'
    )
    (shop / "threadmill.toml").write_text(broken)
    done = run_cli("tools", "--endpoint", "gateway")

    assert done.returncode == 1
    failed = [line.strip() for line in done.stdout.splitlines() if "FAIL" in line]
    assert len(failed) == 4
    assert failed[0].startswith("function  stock  FAIL: tool 'stock': cannot load shop:stock")
    assert failed[1].startswith("http      secret  FAIL: tool 'secret' needs NOT_SET")
    assert failed[2].startswith("mcp       demo: subtract  FAIL: [mcp.demo] lists it in `tools`")
    assert failed[3].startswith("mcp       gone  FAIL: the MCP server 'gone' cannot be used: FileNotFoundError")
    assert "demo__add(a: integer" in done.stdout, "the others are fine"


def test_an_endpoint_that_is_not_there_is_a_mistake(shop, run_cli):
    done = run_cli("tools", "--endpoint", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no endpoint 'nowhere'" in done.stderr
