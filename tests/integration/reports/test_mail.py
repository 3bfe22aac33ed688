"""Deliveries by mail, to a mail server of the test."""

import base64
import email
import socketserver
import ssl
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import policy

import pytest
from tests.certificates import self_signed

from threadmill.reports.delivery.channel import Notification, deliver
from threadmill.reports.delivery.smtp import Smtp

pytestmark = pytest.mark.integration

PARCEL = Notification("daily/2026-11-20", "News of today 今日", "# News", "<h1>News</h1>", {})


@pytest.fixture
def pauses():
    return []


class Mailbox(socketserver.StreamRequestHandler):
    """Takes a mail as a server would; `server.mails` has them, `server.refuses` says which command it refuses."""

    is_secret = False

    def _encrypt(self):
        self.request = self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.request.do_handshake()
        self.is_secret = True
        self.setup()

    def finish(self):
        super().finish()
        self.request.close()

    def handle(self):
        if self.server.security == "tls":
            self._encrypt()
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
            elif command.startswith("EHLO") and (self.is_secret or self.server.security == "starttls"):
                self._say("250-here")
                self._say("250 AUTH PLAIN" if self.is_secret else "250 STARTTLS")
            elif command == "STARTTLS":
                self._say("220 go on")
                self._encrypt()
            elif command.startswith("AUTH PLAIN"):
                self.server.logins.append(base64.b64decode(line.split()[2]))
                self._say("235 welcome")
            elif command == "QUIT":
                self._say("221 bye")
            else:
                self._say("250 yes")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    def handle_error(self, request, client_address):
        """A client that does not trust us hangs up."""
        assert isinstance(sys.exc_info()[1], OSError)


@contextmanager
def mail_server(refuses=(), security="none", context=None):
    with MailServer(("127.0.0.1", 0), Mailbox) as server:
        server.mails, server.logins, server.refuses = [], [], refuses
        server.security, server.context = security, context
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
    assert abs(datetime.now(UTC) - first["Date"].datetime) < timedelta(hours=1)
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_body(["plain"]).get_content().strip() == "# News"
    assert first.get_body(["html"]).get_content().strip() == "<h1>News</h1>"


@pytest.mark.parametrize(
    ("refuses", "why", "tries"),
    [
        (("MAIL", "550 not you"), "127.0.0.1 replied 550", 1),
        (("RCPT", "550 nobody"), "127.0.0.1 refuses the recipients", 1),
        (("MAIL", "451 later"), "127.0.0.1 replied 451", 4),
    ],
)
def test_a_mail_is_retried_only_after_temporary_failures(pauses, refuses, why, tries):
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


@pytest.mark.parametrize("password", ["pässwörd-1", "pass\nword-1"])
def test_an_invalid_password_is_reported_with_its_variable(pauses, monkeypatch, password):
    monkeypatch.setenv("MAIL_PASSWORD", password)
    with mail_server() as server:
        said = deliver(mail_to(server, user="reports", password_env="MAIL_PASSWORD"), PARCEL, pauses.append)

    assert said.startswith("the value of MAIL_PASSWORD has a ")
    assert "which cannot be sent" in said
    assert "word" not in said.replace("MAIL_PASSWORD", "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and a certificate for 127.0.0.1, signed by itself."""
    file = tmp_path_factory.mktemp("tls") / "mail.pem"
    file.write_bytes(self_signed())
    return file


@pytest.fixture
def context(certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_password_is_sent_only_through_tls(pauses, monkeypatch, security, certificate, context):
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    with mail_server(security=security, context=context) as server:
        smtp = mail_to(server, security=security, user="reports", password_env="MAIL_PASSWORD")
        stranger = deliver(smtp, PARCEL, pauses.append)
        assert "CERTIFICATE_VERIFY_FAILED" in stranger
        assert server.logins == []

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert deliver(smtp, PARCEL, pauses.append) is None

    assert server.logins == [b"\0reports\0s3cret"]
    assert len(server.mails) == 1
