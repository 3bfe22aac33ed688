"""What an SDK error means for the job."""

import itertools
from types import SimpleNamespace

import aiohttp
import httpx2
import openai
import pytest

from threadmill.job.result import Failure, FailureKind
from threadmill.secrets.redaction import REDACTOR
from threadmill_worker.drivers.replies.errors import OTHER_WIRE, Target, call_error_of
from threadmill_worker.lifecycle.observations import Gone, NotSent, Rejected, Unknown

REQUEST = httpx2.Request("POST", "http://server/v1/threads")
START = Target.RUNS
LOOK = Target.OBJECT


def status(code: int, error: object = None, **headers: str) -> openai.APIStatusError:
    """The SDK's own exception for such a reply."""
    return raised(code, headers, json={"error": error} if error is not None else {})


def raised(code: int, headers: dict[str, str] = {}, **body: object) -> openai.APIStatusError:  # noqa: B006
    """The same for any body: `json`, `text` or `html`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client = openai.OpenAI(api_key="none", base_url="http://server/v1")
    return client._make_status_error_from_response(httpx2.Response(code, **body, headers=named, request=REQUEST))


def chain(*errors: BaseException) -> BaseException:
    """The first, caused by the second, and so on."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def connector_error(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    key = SimpleNamespace(host="server", port=80, ssl=True, is_ssl=False)
    return kind(key, OSError(111, "refused"))


@pytest.mark.parametrize(
    ("code", "error", "target", "kind"),
    [
        (401, {"message": "Incorrect API key provided"}, START, FailureKind.UNAUTHORISED),
        (403, {"message": "no"}, LOOK, FailureKind.UNAUTHORISED),
        (404, {"message": "No assistant found with id 'asst_x'."}, START, FailureKind.REJECTED),
        (400, {"message": "Invalid 'tools'"}, START, FailureKind.REJECTED),
        (400, {"message": "flagged", "code": "invalid_prompt"}, START, FailureKind.INVALID_PROMPT),
        (413, {"message": "too large"}, START, FailureKind.REJECTED),
        (422, {"message": "no"}, START, FailureKind.REJECTED),
        (429, {"message": "x", "code": "insufficient_quota"}, START, FailureKind.QUOTA),
        (429, {"message": "x", "type": "insufficient_quota"}, START, FailureKind.QUOTA),
        (429, {"message": "You exceeded your current quota, please check"}, LOOK, FailureKind.QUOTA),
        (429, {"message": "x", "code": "credit_balance_exhausted"}, START, FailureKind.QUOTA),
        (400, {"message": "Budget has been exceeded! Current cost: 2.0", "code": "400"}, START, FailureKind.QUOTA),
        (402, {"message": "Insufficient credits"}, START, FailureKind.QUOTA),
        (302, None, START, FailureKind.REJECTED),
    ],
)
def test_what_repeating_cannot_help(code, error, target, kind):
    trouble = call_error_of(status(code, error), target)
    assert isinstance(trouble, Rejected)
    assert trouble.failure.kind is kind
    assert trouble.failure.message.startswith(str(code))


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (404, {"detail": "Not Found"}, FailureKind.UNSUPPORTED),
        (404, {"error": {"message": "File Not Found", "type": "not_found_error"}}, FailureKind.UNSUPPORTED),
        (404, {"error": {"code": "404", "message": "Resource not found"}}, FailureKind.UNSUPPORTED),
        (405, {"detail": "Method Not Allowed"}, FailureKind.UNSUPPORTED),
        (501, {}, FailureKind.UNSUPPORTED),
        (404, {"error": "model 'm' not found"}, FailureKind.REJECTED),
        (404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}, FailureKind.REJECTED),
        (404, {"error": {"message": "No such File object: file-1"}}, FailureKind.REJECTED),
        (404, {"error": {"message": "Vector store with id [] not found."}}, FailureKind.REJECTED),
    ],
)
def test_a_404_when_starting_from_nothing_is_permanent(code, body, kind):
    trouble = call_error_of(raised(code, json=body), Target.FIRST_RUN)
    assert isinstance(trouble, Rejected)
    assert (trouble.failure.kind, trouble.failure.retryable) == (kind, False)


@pytest.mark.parametrize("code", [408, 409, 500, 502, 504, 520, 522, 524])
def test_errors_that_leave_the_outcome_of_a_call_unknown(code):
    trouble = call_error_of(status(code, {"message": "busy"}), START)
    assert trouble == Unknown(f"{code} busy", FailureKind.SERVER_ERROR)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (503, {"text": "upstream connect error or disconnect/reset before headers"}),  # Envoy
        (503, {"html": "<html><title>503 Service Temporarily Unavailable</title>"}),  # nginx
        (529, {"json": {}}),
        (500, {"json": {"type": "error", "error": {"type": "api_error", "message": "Overloaded"}}}),  # Anthropic
        (503, {"json": {"error": {"message": "The engine is currently overloaded, please try again later"}}}),
        (503, {"json": {"error": {"message": "litellm.ServiceUnavailableError: slow", "type": "overloaded_error"}}}),
    ],
)
def test_an_overload_that_may_have_had_an_effect(code, body):
    trouble = call_error_of(raised(code, {"retry_after": "7"}, **body), START)
    assert isinstance(trouble, Unknown)
    assert (trouble.kind, trouble.overloaded, trouble.retry_after_s) == (FailureKind.SERVER_ERROR, True, 7)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (503, {"type": "service_unavailable_error", "code": "server_is_overloaded"}),
        (503, {"type": "service_unavailable_error", "code": "slow_down"}),
        (529, {"type": "overloaded_error"}),
        (503, {"code": "provider_overloaded"}),
    ],
)
def test_an_overload_that_surely_had_no_effect(code, error):
    trouble = call_error_of(status(code, error | {"message": "busy"}, retry_after="7"), START)
    assert trouble == NotSent(f"{code} busy", FailureKind.SERVER_ERROR, 7, overloaded=True)


@pytest.mark.parametrize("code", [521, 523, 525, 526])
@pytest.mark.parametrize("proxy", ["cloudflare", "other"])
def test_what_cloudflare_could_not_forward_had_no_effect(code, proxy):
    page = f"<!DOCTYPE html><title>server | {code}: Web server is down</title>"
    trouble = call_error_of(raised(code, {"server": proxy}, html=page), START)
    assert isinstance(trouble, NotSent if proxy == "cloudflare" else Unknown)
    assert not trouble.overloaded


@pytest.mark.parametrize(
    "message",
    [
        "Can't add messages to thread_X while a run run_Y is active.",
        "Thread thread_X already has an active run run_Y.",
    ],
)
def test_a_locked_thread_may_be_locked_by_our_own_run(message):
    trouble = call_error_of(status(400, {"message": message}), START)
    assert trouble == Unknown(f"400 {message}", FailureKind.REJECTED, "run_Y")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Target.OBJECT, Gone("404 No thread found")),
        (Target.RUNS, Gone("404 No thread found")),
        (Target.DETAIL, Rejected(Failure(kind=FailureKind.REJECTED, message="404 No thread found"))),
        (Target.COLLECTION, Rejected(Failure(kind=FailureKind.UNSUPPORTED, message="404 No thread found"))),
        (Target.THREADS, Rejected(Failure(kind=FailureKind.UNSUPPORTED, message="404 No thread found" + OTHER_WIRE))),
    ],
)
def test_the_target_decides_what_a_404_means(target, error):
    assert call_error_of(status(404, {"message": "No thread found"}), target) == error


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after": "86400"}, 300),
        ({"retry_after": "Fri, 20 Nov 2026 08:00:05 GMT", "date": "Fri, 20 Nov 2026 08:00:00 GMT"}, 5),
        ({"retry_after": "0"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(headers, seconds):
    trouble = call_error_of(status(429, {"message": "slow down", "code": "slow_down"}, **headers), START)
    assert trouble == NotSent("429 slow down", FailureKind.RATE_LIMITED, seconds)


def test_a_request_that_alone_exceeds_the_limit_is_rejected():
    text = "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 31538."
    said = {"message": text, "type": "tokens", "code": "rate_limit_exceeded"}
    trouble = call_error_of(status(429, said), START)
    assert trouble.failure.kind is FailureKind.REJECTED
    assert trouble.reason.endswith("shorten the input, lower max_completion_tokens, or have the limit raised")


def test_a_rate_limit_may_say_it_in_its_text_alone():
    """Google's free tier says "quota" where a wait helps; LiteLLM's router sends no header through a gateway."""
    text = "You exceeded your current quota, please check your plan and billing details. Please retry in 34.5s."
    trouble = call_error_of(status(429, {"message": text}), START)
    assert trouble == NotSent(f"429 {text}", FailureKind.RATE_LIMITED, 34.5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"json": {"detail": "no 'stream' with 'background'"}}, "400 no 'stream' with 'background'"),
        ({"json": {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}}, "400 body.model: Field required"),
        ({"json": {"title": "No credit", "detail": "Balance 30", "status": 400}}, "400 No credit: Balance 30"),
        ({"json": {"error": "model 'x' not found"}}, "400 model 'x' not found"),
        ({"text": "nothing here"}, "400 nothing here"),
        ({"html": "<html><title>Bad &amp; worse</title>"}, "400 an HTML page: Bad & worse"),
        ({"text": ""}, "400 Bad Request"),
    ],
)
def test_a_refusal_quotes_the_server_whatever_the_form_of_its_body(body, reason):
    trouble = call_error_of(raised(400, **body), START)
    assert isinstance(trouble, Rejected)
    assert trouble.failure.message == reason


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_a_rate_limit_that_names_no_time_waits_a_bounded_one(value):
    trouble = call_error_of(status(429, {"message": "slow down"}, retry_after=value), START)
    assert trouble.retry_after_s is None or 0 < trouble.retry_after_s <= 300


@pytest.mark.parametrize(
    "error",
    [
        chain(openai.APITimeoutError(request=REQUEST), httpx2.ConnectTimeout("x"), aiohttp.ServerDisconnectedError()),
        chain(openai.APITimeoutError(request=REQUEST), httpx2.ReadTimeout("x"), aiohttp.SocketTimeoutError()),
        chain(openai.APIConnectionError(request=REQUEST), httpx2.ReadError("x"), ConnectionResetError(104, "reset")),
        openai.APIConnectionError(request=REQUEST),
        OSError(32, "Broken pipe"),
    ],
)
def test_a_connection_that_broke_proves_nothing(error):
    assert isinstance(call_error_of(error, START), Unknown)


@pytest.mark.parametrize(
    "cause",
    [
        ConnectionRefusedError(111, "refused"),
        aiohttp.ConnectionTimeoutError("Connection timeout to host"),
        connector_error(aiohttp.ClientConnectorError),
        connector_error(aiohttp.ClientConnectorDNSError),
        chain(connector_error(aiohttp.ClientConnectorDNSError), OSError(-2, "Name or service not known")),
    ],
)
def test_a_connection_that_was_never_had_proves_that_nothing_left(cause):
    error = chain(openai.APITimeoutError(request=REQUEST), httpx2.ConnectTimeout("x"), cause)
    assert isinstance(call_error_of(error, START), NotSent)


@pytest.mark.parametrize("error", ["bare words", ["x"], {"code": 400}, {"message": None, "code": {}}, {"type": []}, 7])
def test_any_error_body_is_classified(error):
    for code in (400, 404, 429, 500):
        call_error_of(status(code, error), START)


def test_the_secret_never_shows():
    REDACTOR.register("sk-secret")
    error = status(401, {"message": "no key sk-secret here", "code": "sk-secret"}, location="http://x/?key=sk-secret")
    assert "sk-secret" not in repr(call_error_of(error, START))


def test_the_secret_does_not_show_in_errors_of_the_client_either():
    REDACTOR.register("sk-secret-ä")
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = ValueError(f"Illegal header value {'Bearer sk-secret-ä'.encode()!r}")
    assert "sk-secret" not in repr(call_error_of(error, START))


def test_cutting_a_long_page_leaves_no_beginning_of_a_secret():
    REDACTOR.register("sk-secret-4711")
    page = "x" * 490 + "sk-secret-4711"
    assert "sk-sec" not in repr(call_error_of(status(500, {"message": page}), START))


def test_a_long_page_is_cut():
    assert len(call_error_of(status(500, {"message": "x" * 10_000}), START).reason) <= 500
