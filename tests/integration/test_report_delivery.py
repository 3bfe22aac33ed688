"""Where reports are sent: to servers of the test's own."""

import email
import json
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from threadmill.local import free_port
from threadmill.reports.delivery import Parcel, Smtp, Webhook, deliver

pytestmark = pytest.mark.integration

PARCEL = Parcel("daily/2026-11-20", "News of today 今日", "# News", "<h1>News</h1>", {"report": "daily", "tokens": 7})


@pytest.fixture
def pauses():
    return []


@dataclass
class Hook:
    """Answers with the codes it is told, then with 200."""

    url: str = ""
    requests: list[Any] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def take(self, request):
        self.requests.append((request.headers, json.loads(await request.body())))
        code = self.answers.pop(0) if self.answers else 200
        return RedirectResponse("/elsewhere", 302) if code == 302 else Response(status_code=code)


@pytest.fixture
def hook(serve):
    made = Hook()
    app = Starlette(routes=[Route("/{path:path}", made.take, methods=["POST", "GET"])])
    made.url = serve(app) + "/hook?token=s3cret"
    return made


def test_a_webhook_gets_the_report_and_the_same_key_each_time(hook, pauses, monkeypatch):
    monkeypatch.setenv("HOOK_URL", hook.url)
    monkeypatch.setenv("HOOK_TOKEN", "t0ken")
    hook.answers = [503, 429]

    assert deliver(Webhook(url_env="HOOK_URL", token_env="HOOK_TOKEN"), PARCEL, pauses.append) is None

    assert pauses == [1, 2]
    assert [headers["idempotency-key"] for headers, _ in hook.requests] == ["daily/2026-11-20"] * 3
    headers, body = hook.requests[-1]
    assert headers["authorization"] == "Bearer t0ken"
    assert body == {"report": "daily", "tokens": 7, "title": "News of today 今日", "markdown": "# News"}


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (302, 1), (500, 4)])
def test_a_webhook_that_refuses_is_not_asked_for_ever(hook, pauses, code, tries):
    hook.answers = [code] * 9

    why = deliver(Webhook(url=hook.url), PARCEL, pauses.append)

    assert why == f"the webhook answers {code}"
    assert (len(hook.requests), len(pauses)) == (tries, tries - 1)


def test_what_is_wrong_with_a_webhook_is_told_without_its_url(pauses, monkeypatch):
    nobody = f"http://127.0.0.1:{free_port()}/s3cret"
    monkeypatch.setenv("FILE_URL", "file:///etc/s3cret")

    assert deliver(Webhook(url=nobody), PARCEL, pauses.append) == "the webhook cannot be reached: Connection refused"
    assert deliver(Webhook(url_env="FILE_URL"), PARCEL) == "the webhook's URL is not http:// or https://"
    assert deliver(Webhook(url_env="NOT_SET"), PARCEL) == "the variable NOT_SET is not set: export NOT_SET=..."


class Mailbox(socketserver.StreamRequestHandler):
    """Takes a mail as a server would; `server.mails` has them, `server.refuses` says which command it refuses."""

    def handle(self):
        self._say("220 here")
        while line := self.rfile.readline().decode(errors="replace").strip():
            command = line.upper()
            if self.server.refuses and command.startswith(self.server.refuses[0]):
                self._say(self.server.refuses[1])
            elif command == "DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(email.message_from_bytes(b"".join(lines), policy=policy.default))
                self._say("250 taken")
            elif command == "QUIT":
                self._say("221 bye")
            else:
                self._say("250 yes")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def mail_server(refuses=()):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.mails, server.refuses = [], refuses
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def mail_to(server, **more) -> Smtp:
    fields = {"host": "127.0.0.1", "port": server.server_address[1], "security": "none"}
    return Smtp.model_validate({**fields, "from": "reports@shop.example", "to": ["a@b.example", "c@d.example"], **more})


def test_a_mail_has_both_forms_and_the_same_id_each_time(pauses):
    with mail_server() as server:
        for _ in range(2):
            assert deliver(mail_to(server), PARCEL, pauses.append) is None

    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"] == "<daily.2026-11-20@shop.example>"
    assert (first["Subject"], first["To"]) == ("News of today 今日", "a@b.example, c@d.example")
    assert first.get_body(["plain"]).get_content().strip() == "# News"
    assert first.get_body(["html"]).get_content().strip() == "<h1>News</h1>"


@pytest.mark.parametrize(
    ("refuses", "why", "tries"),
    [
        (("MAIL", "550 not you"), "127.0.0.1 answers 550", 1),
        (("RCPT", "550 nobody"), "127.0.0.1 refuses the recipients", 1),
        (("MAIL", "451 later"), "127.0.0.1 answers 451", 4),
    ],
)
def test_a_mail_that_is_refused_is_tried_again_if_that_may_help(pauses, refuses, why, tries):
    with mail_server(refuses) as server:
        assert deliver(mail_to(server), PARCEL, pauses.append) == why

    assert (server.mails, len(pauses)) == ([], tries - 1)


@pytest.mark.parametrize(("security", "why"), [("starttls", "STARTTLS extension not supported"), ("tls", "SSL")])
def test_a_mail_server_without_tls_gets_no_password(pauses, monkeypatch, security, why):
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    with mail_server() as server:
        smtp = mail_to(server, security=security, user="reports", password_env="MAIL_PASSWORD")
        said = deliver(smtp, PARCEL, pauses.append)

    assert said is not None
    assert why in said
    assert server.mails == []
