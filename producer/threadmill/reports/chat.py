"""PURE: a report as a chat message, for Slack's incoming webhooks and Teams' workflows."""

from collections.abc import Mapping
from typing import Any, Literal

from threadmill.reports.grouping import cut
from threadmill.reports.html import is_web_page

ChatFormat = Literal["slack", "teams"]

_HEADER = 150  #: characters of Slack's header block
_SECTION = 3000  #: characters of Slack's section block
_CARD = 4000  #: characters; Teams refuses messages above 28 KB, and JSON may take six bytes for one


def chat_message(format: ChatFormat, title: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body. `facts`: those of the plain webhook."""
    text = str(facts.get("summary") or facts.get("error") or "")
    counts = f"{facts['documents']} documents, {len(facts['failed'])} failed" if "documents" in facts else "failed"
    link = str(facts.get("link") or "")
    return _slack(title, counts, text, link) if format == "slack" else _teams(title, counts, text, link)


def _slack(title: str, counts: str, text: str, link: str) -> dict[str, Any]:
    opens = f"<{link}|Open the full report>" if is_web_page(link) else ""
    escaped = filter(None, (counts, _escaped(text), opens))
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": cut(body, _SECTION)}} for body in escaped]
    header = {"type": "header", "text": {"type": "plain_text", "text": cut(title, _HEADER)}}
    return {"text": f"{_escaped(title)}: {counts}", "blocks": [header, *sections]}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(title: str, counts: str, text: str, link: str) -> dict[str, Any]:
    blocks = [{"type": "TextBlock", "text": title, "size": "Large", "weight": "Bolder", "wrap": True}]
    blocks += [{"type": "TextBlock", "text": cut(each, _CARD), "wrap": True} for each in (counts, text) if each]
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
