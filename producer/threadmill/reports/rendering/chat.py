"""Renders a report as a chat message for Slack's incoming webhooks and Teams' workflows. PURE."""

from collections.abc import Mapping
from typing import Any, Literal

from threadmill.reports.content.grouping import shorten
from threadmill.reports.rendering.chat_text import SLACK, TEAMS, chat_text
from threadmill.reports.rendering.html import is_web_page

ChatFormat = Literal["slack", "teams"]

_HEADER = 150  #: characters of Slack's header block
_SECTION = 3000  #: characters of Slack's section block
_CARD = 4000  #: characters; Teams refuses messages above 28 KB, and JSON may take six bytes for one


def chat_message(format: ChatFormat, title: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the JSON body. `facts` is Notification.facts."""
    dialect, longest = (SLACK, _SECTION) if format == "slack" else (TEAMS, _CARD)
    if summary := facts.get("summary"):
        text = chat_text(str(summary), dialect, longest)
    else:
        text = shorten(dialect.escape(str(facts.get("error") or "")), longest)
    counts = f"{facts['documents']} documents, {len(facts['failed'])} failed" if "documents" in facts else "failed"
    link = str(facts.get("link") or "")
    return _slack(title, counts, text, link) if format == "slack" else _teams(title, counts, text, link)


def _slack(title: str, counts: str, text: str, link: str) -> dict[str, Any]:
    opens = f"<{link}|Open the full report>" if is_web_page(link) else ""
    bodies = filter(None, (counts, text, opens))
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": body}} for body in bodies]
    header = {"type": "header", "text": {"type": "plain_text", "text": shorten(title, _HEADER)}}
    return {"text": f"{SLACK.escape(title)}: {counts}", "blocks": [header, *sections]}


def _teams(title: str, counts: str, text: str, link: str) -> dict[str, Any]:
    blocks = [{"type": "TextBlock", "text": TEAMS.escape(title), "size": "Large", "weight": "Bolder", "wrap": True}]
    blocks += [{"type": "TextBlock", "text": each, "wrap": True} for each in (counts, text) if each]
    action = {"type": "Action.OpenUrl", "title": "Open the full report", "url": link}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        "actions": [action] if is_web_page(link) else [],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}
