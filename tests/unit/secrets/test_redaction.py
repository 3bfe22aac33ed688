"""The redactor: no secret is left in a text, in whichever form, and nothing else is changed."""

import base64
import html
import io
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from threadmill.secrets.redaction import MARK, RedactingStream, Redactor

CHARACTERS = st.characters(exclude_categories=["Cs"])
SECRETS = st.text(CHARACTERS, min_size=8, max_size=40).map(str.strip).filter(lambda secret: len(secret) >= 8)
ODD = "we\"ird\\p'ss/ &<wörd>\n天%\x7f😀"


def inner(quoted: str) -> str:
    return quoted[1:-1]


FORMS = {
    "as it is": lambda secret: secret,
    "in one line": lambda secret: " ".join(secret.split()),
    "repr": lambda secret: inner(repr(secret)),
    "ascii": lambda secret: inner(ascii(secret)),
    "bytes": lambda secret: repr(secret.encode())[2:-1],
    "json": lambda secret: inner(json.dumps(secret)),
    "json, utf-8": lambda secret: inner(json.dumps(secret, ensure_ascii=False)),
    "json, slashes escaped": lambda secret: inner(json.dumps(secret)).replace("/", "\\/"),
    "json in json": lambda secret: inner(json.dumps(inner(json.dumps(secret)))),
    "repr in json": lambda secret: inner(json.dumps(inner(repr(secret)))),
    "json in repr": lambda secret: inner(repr(inner(json.dumps(secret)))),
    "url": lambda secret: quote(secret, safe=""),
    "path of a url": quote,
    "form": quote_plus,
    "lower-case escapes": lambda secret: "".join(
        f"%{byte:02x}" if byte > 127 else chr(byte) for byte in secret.encode()
    ),
    "html": html.escape,
    "base64": lambda secret: base64.b64encode(b"user:" + secret.encode() + b" and more").decode(),
    "base64 of a url": lambda secret: base64.urlsafe_b64encode(b"me:" + secret.encode()).decode(),
}


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    for secret in secrets:
        made.register(secret)
    return made


def is_secret(value: str) -> bool:
    return redactor(value).redact(value) != value


@given(
    form=st.sampled_from(sorted(FORMS)),
    secret=SECRETS,
    before=st.text(CHARACTERS, max_size=10),
    after=st.text(CHARACTERS, max_size=10),
)
def test_a_secret_is_redacted_in_any_form(form, secret, before, after):
    assume(is_secret(secret))
    written = FORMS[form](secret)
    redacted = redactor(secret).redact(before + written + after)

    assert secret not in redacted
    assert written not in redacted
    assert MARK in redacted


@pytest.mark.parametrize("secret", [ODD, "\\" * 9 + '"', '{"type": "key", "id": "a\\nb"}'])
@pytest.mark.parametrize("form", FORMS)
def test_escapes_within_a_secret_do_not_hide_it(form, secret):
    redacted = redactor(secret).redact(f"[{FORMS[form](secret)}]")
    assert MARK in redacted if form.startswith("base64") else redacted == f"[{MARK}]"


@given(
    secrets=st.lists(SECRETS, min_size=1, max_size=4),
    text=st.text(CHARACTERS, max_size=20),
    data=st.data(),
)
def test_redacting_again_changes_nothing(secrets, text, data):
    pieces = [*secrets, *(secret[1:] for secret in secrets), *(secret[:-1] for secret in secrets), MARK, text]
    joined = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=6)))
    it = redactor(*secrets)
    once = it.redact(joined)

    assert it.redact(once) == once
    assert not any(secret in once for secret in secrets if is_secret(secret))


@given(st.text(CHARACTERS))
def test_a_text_without_secrets_is_left_alone(text):
    it = redactor("sk-proj-0123456789", ODD)
    assume("0123456789" not in text)
    assert it.redact(text) is text


def test_what_follows_the_scheme_of_a_header_is_a_secret_by_itself():
    it = redactor("Bearer sk-weather-1")
    assert it.redact("sent Bearer sk-weather-1, that is sk-weather-1") == f"sent {MARK}, that is {MARK}"


def test_each_line_of_a_secret_is_one_by_itself():
    it = redactor("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ==\n-----END PRIVATE KEY-----\n")
    assert it.redact("a line: kqhkiG9w0BAQ==") == f"a line: {MARK}"
    assert it.redact("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_the_longest_of_several_is_redacted_first():
    assert redactor("sk-secret", "sk-secret-of-another").redact("sk-secret-of-another") == MARK


@pytest.mark.parametrize(
    "value", ["", "  ", "none", "EMPTY", "emulator", "changeme", "/usr/bin", "https://example.com/"]
)
def test_words_that_texts_contain_by_chance_are_not_secrets(value):
    text = f"it is {value} here"
    assert redactor(value).redact(text) == text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://:s3cret-pw@host:6379/0", "s3cret-pw"),
        ("redis://user:p%40ss%2Fword@host/0", "p@ss/word"),
        ("redis://user:p%40ss%2Fword@host/0", "p%40ss%2Fword"),
        ("redis://:pw@host:6379/0", "Error connecting to redis://:pw@host:6379/0"),
        ("sentinel://:pw-of-one@a:26379;sentinel://:pw-of-two@b:26379", "pw-of-one"),
        ("sentinel://:pw-of-one@a:26379;sentinel://:pw-of-two@b:26379", "pw-of-two"),
        ("redis://host/0?password=s3cret-pw", "s3cret-pw"),
    ],
)
def test_passwords_in_urls_are_redacted(url, text):
    it = Redactor()
    it.register_url(url)
    assert MARK in it.redact(text)
    assert "pw" not in it.redact(text).replace("6379", "")
    assert "host" in it.redact("host")


def test_the_environments_secrets_are_known_by_their_names():
    it = Redactor()
    it.register_environment(
        {
            "AWS_SECRET_ACCESS_KEY": "wJalrXUt/nFEMI",
            "PGPASSWORD": "s3cret-of-pg",
            "DATABASE_URL": "postgres://me:s3cret-of-db@host/db",
            "SSH_KEY_PATH": "/no/such-path",
            "PWD": "/home/me-2",
        }
    )
    for secret in ("wJalrXUt/nFEMI", "s3cret-of-pg", "s3cret-of-db"):
        assert it.redact(secret) == MARK
    assert it.redact("/no/such-path in /home/me-2") == "/no/such-path in /home/me-2"


def test_a_secret_that_has_expired_is_forgotten():
    it = redactor("sk-secret-1", "sk-secret-2")
    it.forget("sk-secret-1")
    assert it.redact("sk-secret-1 sk-secret-2") == f"sk-secret-1 {MARK}"


@given(SECRETS)
@example(ODD)
def test_a_value_parsed_from_json_is_redacted_and_stays_what_it_was(secret):
    assume(is_secret(secret))
    it = redactor(secret)
    value = {"text": f"a {secret} b", secret: [1, None, True, 1.5, {"deep": secret}]}
    for source in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        redacted = it.redact_parsed(json.loads(source), source)
        assert redacted == {"text": f"a {MARK} b", MARK: [1, None, True, 1.5, {"deep": MARK}]}


@given(SECRETS)
@example(ODD)
def test_a_secret_is_noticed_in_a_text_that_python_escaped(secret):
    assume(is_secret(secret))
    it = redactor(secret)
    fields = {"header": [f"a {secret} b"], secret: 1}
    for text in (json.dumps(fields), json.dumps(fields, ensure_ascii=False), repr(fields), json.dumps(repr(fields))):
        assert it.may_hold_secret(text)


def test_a_server_cannot_hide_a_secret_behind_escapes_of_letters():
    source = '["\\u0073k-secret-1"]'
    assert redactor("sk-secret-1").redact_parsed(json.loads(source), source) == [MARK]


@given(SECRETS, st.integers(min_value=1, max_value=7))
def test_a_secret_cut_off_at_the_end_is_found(secret, length):
    assume(is_secret(secret))
    it = redactor(secret)
    assert it.unfinished(f"text {secret[:length]}") >= length
    assert redactor().unfinished(secret) == 0


def test_a_long_text_full_of_escapes_takes_no_long_time():
    it = redactor(ODD)
    text = "天" + "\\" * 300_000 + " " * 300_000 + "wörd" + "%25" * 100_000
    assert it.redact(text) == text


def test_a_stream_writes_no_secret():
    written = io.StringIO()
    stream = RedactingStream(written, redactor("sk-secret-1"))
    stream.writelines(["Traceback: sk-secret-1\n", "nothing"])

    assert written.getvalue() == f"Traceback: {MARK}\nnothing"
    assert not stream.isatty()
