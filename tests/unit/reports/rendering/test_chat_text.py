"""Markdown converted to Slack's mrkdwn and to the Markdown subset of Teams' cards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reports import HOSTILE

from threadmill.reports.rendering.chat_text import SLACK, TEAMS, chat_text

LONGEST = 3000


@pytest.mark.parametrize(
    ("markdown", "slack", "teams"),
    [
        ("# What **happened**", "*What happened*", "**What happened**"),
        ("**Two** need _a_ *decision*.", "*Two* need _a_ _decision_.", "**Two** need _a_ _decision_."),
        ("a\n\nb", "a\n\nb", "a\n\nb"),
        ("~~old~~ new", "~old~ new", "old new"),
        (
            "[the *runbook*](https://a.example/x?a=1&b=2)",
            "<https://a.example/x?a=1&amp;b=2|the _runbook_>",
            "[the _runbook_](https://a.example/x?a=1&b=2)",
        ),
        ("[a](https://a.example/x|y)", "<https://a.example/x%7Cy|a>", "[a](https://a.example/x%7Cy)"),
        ("[run](javascript:alert)", "run (`javascript:alert`)", "run (javascript:alert)"),
        ("![plot](https://a.example/p.png)", "<https://a.example/p.png|plot>", "[plot](https://a.example/p.png)"),
        ("- a\n- b\n  - **c**", "• a\n• b\n    • *c*", "- a\r- b\r- **c**"),
        ("3. a\n4. b", "3. a\n4. b", "3. a\r4. b"),
        ("> quoted\n> twice", "> quoted\n> twice", "quoted\ntwice"),
        ("`x < y`", "`x &lt; y`", "x < y"),
        ("```py\na_b = 1\n```", "```\na_b = 1\n```", "a_b = 1"),
        ("a\n\n---\n\nb", "a\n\nb", "a\n\nb"),
        ("5 \\* 3 in note_1.md & <!here>", "5 * 3 in note_1.md &amp; &lt;!here&gt;", "5 \\* 3 in note_1.md & <!here>"),
        (
            "| Shift | Units | |\n|-|-|-|\n| **Early** | 4,120 | belt |\n| Late | | <b> |",
            "• *Early* · Units: 4,120 · belt\n• *Late* · &lt;b&gt;",
            "- **Early** · Units: 4,120 · belt\r- **Late** · <b>",
        ),
    ],
)
def test_markdown_is_converted_for_each_chat(markdown, slack, teams):
    assert chat_text(markdown, SLACK, LONGEST) == slack
    assert chat_text(markdown, TEAMS, LONGEST) == teams


def test_a_long_text_is_cut_after_a_block():
    text = "\n\n".join(f"[note {number}](https://a.example/{number})" for number in range(500))
    made = chat_text(text, SLACK, 1000)
    assert len(made) <= 1000
    assert made.endswith("|note 30>\n\n[...]")


def test_a_code_block_that_is_cut_stays_closed():
    made = chat_text("```\n" + "a line\n" * 1000 + "```", SLACK, 1000)
    assert len(made) <= 1000
    assert made.startswith("```\na line\n")
    assert made.endswith("a line\n[...]\n```")


@given(st.text(st.sampled_from("ab*_`#>-|[]()<!&~ \n1.\\@天\r")), st.sampled_from([SLACK, TEAMS]), st.integers(60, 300))
def test_any_text_fits_the_limit(markdown, dialect, longest):
    assert len(chat_text(markdown, dialect, longest)) <= longest


def test_an_answer_cannot_mention_everybody_in_slack():
    made = chat_text(f"{HOSTILE}\n\n<!channel> <@U07ABC> [x](https://a.example/<!here>)", SLACK, 100_000)
    links = [part.partition(">")[0] for part in made.split("<")[1:]]
    assert links
    assert all(link.startswith(("http://", "https://", "mailto:")) for link in links)
