"""A Redis URL that cannot work is refused when settings are loaded, and what Redis refuses is named."""

import pytest
import redis
from redis import exceptions

from threadmill.client import Client
from threadmill.connection import Connection
from threadmill.errors import SettingsError, StoreRefused, StoreUnavailable
from threadmill.queue import make_app
from threadmill.settings import Settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not a URL"),
        ("localhost:6379", "is not a URL"),
        ("user:s3cret@localhost:6379", "is not a URL"),
        ("http://:s3cret@localhost", "its scheme must be redis"),
        ("unix:///run/redis.sock", "its scheme must be redis"),
        ("redis://localhost:port/0", "its port is not a number"),
        ("redis://localhost:99999/0", "its port is not a number"),
        ("redis://:s3cret/x@localhost:6379/0", "percent-encode"),
        ("redis://:s3cret#x@localhost:6379/0", "percent-encode"),
        ("redis://:s3cret@localhost/mine", "its database is not a number"),
        ("redis://:s3cret@localhost/-1", "its database is not a number"),
        ("redis://:s3cret@localhost/0?colour=red", "has an option after `?`"),
        ("redis://localhost?db=x", "has an option after `?`"),
    ],
)
def test_a_bad_url_is_a_settings_error_that_names_the_variable_and_no_password(monkeypatch, url, says):
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError) as raised:
        Client()
    assert says in str(raised.value)
    assert "redis://HOST:6379/0" in str(raised.value)
    assert str(raised.value).endswith("(settings from REDIS_URL)")
    assert "s3cret" not in str(raised.value)


def test_settings_built_directly_do_not_show_the_password_either():
    with pytest.raises(ValueError, match="its database") as raised:
        Settings(redis_url="redis://:s3cret@localhost/mine")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://h", "redis://u:p@[::1]:6379/15", "redis://h/0?socket_timeout=3"])
def test_a_good_url_stays_as_it_is(monkeypatch, url):
    monkeypatch.setenv("REDIS_URL", url)
    assert Settings.load().redis_url == url


@pytest.mark.parametrize("url", ["rediss://h/0", "rediss://h/0?ssl_cert_reqs=none"])
def test_tls_needs_no_option_that_only_celery_knows(monkeypatch, url):
    monkeypatch.setenv("REDIS_URL", url)
    assert make_app(Settings.load()).backend.connparams["connection_class"]


@pytest.mark.parametrize(
    ("error", "url", "says"),
    [
        (exceptions.AuthenticationError("invalid username-password pair"), "redis://:x@h", "refused the password"),
        (exceptions.AuthenticationError("Authentication required."), "redis://h", "needs a password"),
        (
            exceptions.AuthenticationError("AUTH <password> called without any password configured for the default"),
            "redis://:x@h",
            "has no password, but REDIS_URL gives one",
        ),
        (exceptions.NoPermissionError("User u has no permissions to run 'info'"), "redis://h", "run 'info'"),
        (exceptions.ResponseError("DB index is out of range"), "redis://h/99", "has no database of this number"),
        (exceptions.OutOfMemoryError("command not allowed"), "redis://h", "raise its `maxmemory`"),
        (exceptions.ResponseError("MISCONF Redis is configured to save"), "redis://h", "free disk space"),
        (exceptions.MovedError("3999 127.0.0.1:6381"), "redis://h", "Redis Cluster"),
    ],
)
def test_a_refusal_is_not_reported_as_an_absence_nor_repeated(error, url, says):
    calls = []

    def read():
        calls.append(1)
        with connection._reaching():
            raise error

    connection = Connection(Settings(redis_url=url))
    with pytest.raises(StoreRefused) as raised:
        connection.patiently(read)
    assert says in str(raised.value)
    assert "does not answer" not in str(raised.value)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "error", [exceptions.ReadOnlyError("replica"), exceptions.BusyLoadingError("loading"), redis.TimeoutError("late")]
)
def test_a_redis_that_is_away_for_a_moment_is_asked_again(error):
    def read():
        with connection._reaching():
            if errors:
                raise errors.pop()
            return "found"

    errors = [error]
    connection = Connection(Settings())
    assert connection.patiently(read) == "found"


def test_a_bug_in_a_command_is_not_taken_for_an_absence():
    says = r"refused a command \(unknown command 'FROBNICATE'\)"
    with pytest.raises(StoreRefused, match=says), Connection(Settings())._reaching():
        raise exceptions.ResponseError("unknown command 'FROBNICATE', with args beginning with: 'a prompt'")


def test_in_python_the_remedy_speaks_of_no_command_line_option():
    assert "--" not in str(StoreUnavailable("redis://h", OSError("refused")))
