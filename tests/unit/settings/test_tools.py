"""What [tools] and [mcp] may hold."""

import pytest

from threadmill.errors import InvalidJob, SettingsError
from threadmill.settings.settings import Settings
from threadmill.settings.tools import FunctionSettings, HttpSettings, server_of

HTTP = '[tools.w]\nparameters = {{ type = "object", required = ["city"] }}\nurl = "{}"\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(here, text: str) -> Settings:
    (here / "threadmill.toml").write_text(text)
    return Settings.load()


def test_each_kind_is_recognised_by_its_fields(here):
    settings = written(
        here,
        '[tools]\na = "m:f"\nb = { function = "m:g", concurrency = 2 }\n'
        + HTTP.format("https://api.example.com/{city}")
        + '[mcp.files]\ncommand = ["serve-files", "/srv"]\nenv = ["TOKEN"]\n'
        + '[mcp.search]\nurl = "https://tools.example.com/mcp"\nheaders_env = { Authorization = "SEARCH_AUTH" }\n',
    )
    assert settings.tools["a"] == FunctionSettings(function="m:f")
    assert settings.tools["b"].concurrency == 2
    web = settings.tools["w"]
    assert isinstance(web, HttpSettings)
    assert (web.method, web.allowed) == ("GET", ("api.example.com",))
    assert settings.mcp["files"].command == ("serve-files", "/srv")
    assert settings.mcp["search"].url == "https://tools.example.com/mcp"
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings, "another process can be given them"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[tools]\n"no spaces" = "m:f"', "`tools.no spaces.[key]`: "),
        ('[tools.w]\nurl = "https://x/"', "`tools.w.parameters`: Field required"),
        ('[tools.w]\nurl = "https://x/"\nparameters = {}', 'set type = "object"'),
        (HTTP.format("ftp://x/{city}"), "`tools.w.url`: "),
        (HTTP.format("https://user:pass@x/{city}"), "name a variable in headers_env"),
        (HTTP.format("https://{city}/x"), "`hosts` must list where requests may go"),
        (HTTP.format("https://x/{town}"), "`url` needs {town}: list it under `required`"),
        (HTTP.format("https://x/{city"), "belongs to no {placeholder}"),
        (HTTP.format("https://x/#{city}"), "`tools.w.url`: "),
        (HTTP.format("https://x/") + 'method = "TRACE"', "`tools.w.method`: "),
        (HTTP.format("https://x/") + 'headers = { Authorization = "Bearer sk" }', "name its variable in headers_env"),
        (HTTP.format("https://x/") + 'headers = { X = "a\\nY: b" }', "`tools.w.headers.X`: "),
        (HTTP.format("https://x/") + "retries = 3", "unknown field `tools.w.retries`"),
        ("[mcp.files]", "give either `command` or `url`"),
        ('[mcp.files]\ncommand = ["x"]\nurl = "https://x"', "give either `command` or `url`"),
        ("[mcp.files]\ncommand = []", "`mcp.files.command`: "),
        ('[mcp.files]\nurl = "https://x"\nenv = ["TOKEN"]', "`env` goes with `command`"),
        ('[mcp.files]\ncommand = ["x"]\nheaders = { X = "y" }', "go with `url`"),
        ('[mcp.my__files]\ncommand = ["x"]', "`mcp.my__files.[key]`: "),
        ('[tools]\nfiles = "m:f"\n[mcp.files]\ncommand = ["x"]', "tool 'files' could be one of the MCP server 'files'"),
        ('[tools]\nfiles__x = "m:f"\n[mcp.files]\ncommand = ["x"]', "'files__x' could be one of the MCP server"),
    ],
)
def test_a_mistake_is_reported_with_its_position(here, text, says):
    with pytest.raises(SettingsError) as told:
        written(here, text)
    assert says in str(told.value)


def test_a_job_may_name_what_could_be_there(here):
    settings = written(here, '[tools]\nweather = "m:f"\n[mcp.files]\ncommand = ["x"]')

    for name in ("weather", "files", "files__read"):
        settings.check_tool(name)
    for name in ("wether", "file", "files_read", "files-x"):
        with pytest.raises(
            InvalidJob,
            match=r"\(known: file_search, code_interpreter, weather, files\); add .* to \[tools\], or the MCP server",
        ):
            settings.check_tool(name)


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("files", "files"),
        ("files__read", "files"),
        ("files__a__b", "files"),
        ("my_files__x", "my_files"),
        ("file", None),
    ],
)
def test_the_server_is_what_stands_before_the_separator(name, server):
    assert server_of(name, {"files", "my_files"}) == server
