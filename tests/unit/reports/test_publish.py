"""Notifications of published and failed reports."""

from datetime import UTC, date, datetime
from email.message import EmailMessage

import pytest
from tests.reports import everything, report

from threadmill.reports import publish
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.delivery.smtp import Smtp
from threadmill.reports.report_run import ReportRun, ReportState

SMTP = Smtp.model_validate({"host": "mail.example", "from": "reports@shop.example", "to": ["boss@shop.example"]})
ERROR = "12 of 20 documents failed: notes/<b>a</b>.md: is empty"


def definition(**delivery) -> ReportDefinition:
    return ReportDefinition.model_validate({"name": "daily", "paths": ["notes"], "delivery": delivery})


def night(**fields) -> ReportRun:
    now = datetime(2026, 1, 16, 6, tzinfo=UTC)
    return ReportRun.model_validate({"report": "daily", "night": date(2026, 1, 15), "begun_at": now, **fields})


def mail_of(parcel) -> EmailMessage:
    return SMTP._message(parcel)


def bodies(mail: EmailMessage) -> tuple[str, str]:
    return mail.get_body(["plain"]).get_content(), mail.get_body(["html"]).get_content()


def test_without_a_url_the_page_is_attached_to_the_mail():
    parcel = publish.report_notification(
        everything(), definition(), night(link="/srv/reports/published/daily/2026-01-15.html")
    )
    mail = mail_of(parcel)
    [page] = mail.iter_attachments()

    assert (page.get_filename(), page.get_content_type()) == ("daily-2026-01-15.html", "text/html")
    assert page.get_content().startswith("<!doctype html>")
    assert 'id="document-1"' in page.get_content()
    for body in bodies(mail):
        assert "The full report is attached: daily-2026-01-15.html" in body
        assert "/srv/reports" not in body


def test_with_a_url_the_mail_links_to_the_page():
    link = "https://reports.example/daily/2026-01-15.html"
    parcel = publish.report_notification(report(), definition(url="https://reports.example"), night(link=link))
    plain, html = bodies(mail_of(parcel))

    assert list(mail_of(parcel).iter_attachments()) == []
    assert f"The full report: {link}" in plain
    assert f'<a href="{link}"' in html


def test_a_large_page_is_not_attached():
    large = report(summary="x" * 5_000_001)
    mail = mail_of(publish.report_notification(large, definition(), night(link="/srv/daily/2026-01-15.html")))

    assert list(mail.iter_attachments()) == []
    for body in bodies(mail):
        assert "The full report is too large to attach. It is the file /srv/daily/2026-01-15.html" in body


def test_the_mail_of_a_failed_night_has_the_reason_and_the_remedy():
    failed = night(state=ReportState.FAILED, error=ERROR)
    parcel = publish.failure_notice(definition(), failed)
    plain, html = bodies(mail_of(parcel))

    assert parcel.key == "daily/2026-01-15/failed"
    assert f"Reason: {ERROR}" in plain
    for body in (plain, html):
        assert "There is no report for 2026-01-15." in body
        assert "threadmill report run daily --date 2026-01-15" in body
    assert "notes/&lt;b&gt;a&lt;/b&gt;.md: is empty" in html
    assert "font-family:Arial" in html
    assert 'role="presentation"' in html


@pytest.mark.parametrize("error", ["x" * 1_000_000, "\ud800 half a character"])
def test_any_reason_of_a_failure_can_be_mailed(error):
    mail = mail_of(publish.failure_notice(definition(), night(state=ReportState.FAILED, error=error)))
    assert len(mail.as_bytes()) < 100_000
