"""A report as a chat message for Slack and Teams, within their limits."""

import json

from threadmill.reports.rendering.chat import chat_message

FACTS = {"documents": 300, "failed": [{}], "link": "https://reports.example/a.html", "summary": "<b> & 今日" * 9_000}


def test_slack_gets_blocks_within_its_limits():
    message = chat_message("slack", "News " * 99, FACTS)
    header, counts, summary, link = message["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert counts["text"]["text"] == "300 documents, 1 failed"
    assert len(summary["text"]["text"]) <= 3000
    assert summary["text"]["text"].startswith("&lt;b&gt; &amp; ")
    assert link["text"]["text"] == "<https://reports.example/a.html|Open the full report>"


def test_teams_gets_an_adaptive_card_within_its_limit():
    message = chat_message("teams", "News", FACTS)
    [card] = message["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["actions"][0]["url"] == FACTS["link"]
    assert len(json.dumps(message).encode()) < 28_000


def test_the_message_about_a_failed_night_has_the_reason():
    message = chat_message("slack", "News: failed", {"error": "no documents"})
    assert [block["text"]["text"] for block in message["blocks"]] == ["News: failed", "failed", "no documents"]
