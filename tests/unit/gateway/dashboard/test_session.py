"""Forms of other sites are refused."""

import pytest
from starlette.requests import Request

from threadmill_gateway.dashboard.session import Session, check_form, check_origin
from threadmill_gateway.requests.callers import Caller
from threadmill_gateway.requests.problems import Problem


def request(**headers: str) -> Request:
    named = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": named})


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://threadmill.example", "Host": "10.0.0.1:8090"},  # a proxy
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://192.0.2.1:8090", "Host": "192.0.2.1:8090"},
        {"Host": "127.0.0.1"},
    ],
)
def test_a_form_of_the_pages_is_taken(headers):
    check_origin(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://a.example", "Host": "a.example"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": ""},
        {"Origin": "https://evil.example", "Host": "threadmill.example"},
        {"Origin": "http://threadmill.example:8091", "Host": "threadmill.example:8090"},
        {"Origin": "null", "Host": "threadmill.example"},
        {"Origin": "null"},
        {"Origin": "http://[", "Host": "threadmill.example"},
        {"Origin": "http://\xff", "Host": "threadmill.example"},
    ],
)
def test_a_form_of_another_site_is_refused(headers):
    with pytest.raises(Problem, match="another site"):
        check_origin(request(**headers))


@pytest.mark.parametrize("shown", [None, "", "x", "é", "\ud800", b"bytes"])
def test_a_form_without_the_token_of_the_session_is_refused(shown):
    with pytest.raises(Problem, match="another session"):
        check_form(Session(Caller(), "token"), shown)


def test_the_token_of_a_form_is_of_one_session():
    one, other = Session(Caller(), "one"), Session(Caller(), "other")
    check_form(one, one.csrf)
    with pytest.raises(Problem):
        check_form(one, other.csrf)
    assert one.token not in one.csrf
