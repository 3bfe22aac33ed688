"""Forms of the Redis URL: one that cannot work is refused when settings are loaded, and what Redis refuses is named."""

import ssl

import pytest
import redis
from redis import exceptions

from threadmill.client import Client
from threadmill.errors import SettingsError, StoreRefused, StoreUnavailable
from threadmill.queue import make_app
from threadmill.redis import client
from threadmill.redis.url import RedisUrl, parse
from threadmill.settings.settings import Settings
from threadmill.store.connection import Connection
from threadmill_worker.celery_app.request import result_backend


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
        ("redis+socket:///run/redis.sock", "its scheme must be redis"),
        ("redis-cluster://h:6379", "names a Redis Cluster, which threadmill does not support"),
        ("redis://localhost:port/0", "its port is not a number"),
        ("redis://localhost:99999/0", "its port is not a number"),
        ("redis://:s3cret/x@localhost:6379/0", "percent-encode"),
        ("redis://:s3cret#x@localhost:6379/0", "percent-encode"),
        ("redis://:s3cret@localhost/mine", "its database is not a number"),
        ("redis://:s3cret@localhost/-1", "its database is not a number"),
        ("redis://:s3cret@localhost/0?colour=red", "has an option after `?`"),
        ("redis://localhost?db=x", "has an option after `?`"),
        ("redis://h?ssl_cert_reqs=none", "has an option after `?`"),
        ("rediss://h?ssl_cert_reqs=s3cret", "has an option after `?`"),
        ("rediss://h?ssl_ca_certs=/no/ca.pem", "`ssl_ca_certs` names a file that does not exist: /no/ca.pem"),
        ("unix://:s3cret@localhost", "has no path"),
        ("unix:///run/redis.sock?db=x", "has an option after `?`"),
        ("sentinel://:s3cret@h1:26379,h2:26379/0", "names no master"),
        ("sentinel://:s3cret@h1:port/0?master=m", "whose port is no number"),
        ("sentinel://:s3cret@h1,/0?master=m", "a sentinel without a host"),
        ("sentinel://:s3cret/x@h1/0?master=m", "percent-encode"),
        ("sentinel://h1/mine?master=m", "its database is not a number"),
        ("sentinel://h1?master=m&sentinel_colour=s3cret", "has an option after `?`"),
    ],
)
def test_an_error_about_a_url_names_the_variable_and_no_password(monkeypatch, url, says):
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError) as raised:
        Client()
    assert says in str(raised.value)
    assert "write it as" in str(raised.value) or "/no/ca.pem" in str(raised.value)
    assert str(raised.value).endswith("(settings from REDIS_URL)")
    assert "s3cret" not in str(raised.value)


def test_settings_built_directly_do_not_show_the_password_either():
    with pytest.raises(ValueError, match="its database") as raised:
        Settings(redis_url="redis://:s3cret@localhost/mine")
    assert "s3cret" not in str(raised.value)


SENTINELS = "sentinel://u:p%2F@h1,h2:5,[::1]:6/2?master=jobs&sentinel_password=x%26y&socket_timeout=3"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://u:p@[::1]:6379/15",
        "redis://h/0?socket_timeout=3",
        "rediss://h",
        "unix:///s?db=1",
        SENTINELS,
    ],
)
def test_a_good_url_stays_as_it_is(monkeypatch, url):
    monkeypatch.setenv("REDIS_URL", url)
    assert Settings.load().redis_url == url


def test_a_url_with_sentinels_in_its_parts():
    assert parse(SENTINELS) == RedisUrl(
        options={"username": "u", "password": "p/", "db": 2, "socket_timeout": 3.0},
        tls=None,
        sentinels=(("h1", 26379), ("h2", 5), ("::1", 6)),
        master="jobs",
        sentinel_options={"password": "x&y"},
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", (ssl.CERT_REQUIRED, True, None)),
        ("&ssl_ca_certs={file}", (ssl.CERT_REQUIRED, True, "{file}")),
        ("&ssl_check_hostname=false", (ssl.CERT_REQUIRED, False, None)),
        ("&ssl_cert_reqs=none", (ssl.CERT_NONE, False, None)),
    ],
)
@pytest.mark.parametrize("url", ["rediss://h/0?client_name=x", "sentinels://h1,h2/0?master=m"])
async def test_tls_is_the_same_for_all_clients(tmp_path, monkeypatch, url, options, expected):
    monkeypatch.setattr(redis.Redis, "ping", lambda self: True)  # which kombu's channel calls when it is made
    file = tmp_path / "ca.pem"
    file.touch()
    settings = Settings(redis_url=url + options.format(file=file))
    with make_app(settings) as app, app.connection() as connection:
        of_worker = make_app(settings)
        of_worker.conf.result_backend = result_backend(of_worker.conf.result_backend)
        pools = [
            client.blocking(settings.redis_url).connection_pool,
            client.asynchronous(settings.redis_url).connection_pool,
            connection.transport.Channel(connection.transport)._get_pool(),
            app.backend.client.connection_pool,
            of_worker.backend.client.connection_pool,
        ]
        found = [_tls(pool.make_connection()) for pool in pools]
    verify, check_hostname, ca = expected
    assert found == [(verify, check_hostname, ca and ca.format(file=file))] * len(pools)


def _tls(connection):
    options = getattr(connection, "ssl_context", connection)  # the async connection has an object for them
    return options.cert_reqs, options.check_hostname, options.ca_certs


@pytest.mark.parametrize(
    "url", ["redis://u@h:6379/1", "redis://u:p%40@h:1/1", "redis://:p@[::1]:5/1", "unix://u:p%2F@/s%20t?db=1"]
)
def test_celery_connects_as_our_clients_do(monkeypatch, url):
    monkeypatch.setattr(redis.Redis, "ping", lambda self: True)
    with make_app(Settings(redis_url=url)) as app, app.connection() as connection:
        pools = [
            client.blocking(url).connection_pool,
            connection.transport.Channel(connection.transport)._get_pool(),
            app.backend.client.connection_pool,
        ]
    names = ("host", "port", "path", "username", "password", "db", "socket_timeout")
    ours, broker, backend = [[pool.connection_kwargs.get(name) for name in names] for pool in pools]
    assert ours == broker == backend


def test_what_celery_logs_and_shows_holds_no_password(monkeypatch):
    monkeypatch.setattr(redis.Redis, "ping", lambda self: True)
    url = "sentinel://u:s3cret@h1,h2/0?master=m&sentinel_username=u&sentinel_password=s3cret"
    with make_app(Settings(redis_url=url)) as app, app.connection() as connection:
        shown = [app.conf.table(), connection.as_uri(), connection.transport_options, app.backend.as_uri()]
    assert "h1" in str(shown)
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:s3cret@h/1?socket_timeout=3", "redis://h/1"),
        ("unix://:s3cret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("sentinel://:s3cret@h1,h2/1?master=m&sentinel_password=s3cret", "sentinel://h1,h2/1"),
    ],
)
def test_errors_show_a_url_without_its_passwords(url, shown):
    assert f"Redis at {shown} does not answer" in str(StoreUnavailable(url, OSError("refused")))


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
        with connection._translate_errors():
            raise error

    connection = Connection(Settings(redis_url=url))
    with pytest.raises(StoreRefused) as raised:
        connection.with_retries(read)
    assert says in str(raised.value)
    assert "does not answer" not in str(raised.value)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "error", [exceptions.ReadOnlyError("replica"), exceptions.BusyLoadingError("loading"), redis.TimeoutError("late")]
)
def test_redis_is_tried_again_after_a_short_outage(error):
    def read():
        with connection._translate_errors():
            if errors:
                raise errors.pop()
            return "found"

    errors = [error]
    connection = Connection(Settings())
    assert connection.with_retries(read) == "found"


def test_a_bug_in_a_command_is_not_taken_for_an_absence():
    says = r"refused a command \(unknown command 'FROBNICATE'\)"
    with pytest.raises(StoreRefused, match=says), Connection(Settings())._translate_errors():
        raise exceptions.ResponseError("unknown command 'FROBNICATE', with args beginning with: 'a prompt'")


def test_in_python_the_remedy_speaks_of_no_command_line_option():
    assert "--" not in str(StoreUnavailable("redis://h", OSError("refused")))
