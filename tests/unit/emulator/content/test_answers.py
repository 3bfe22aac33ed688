"""The emulator's default answer is a real function of the input."""

from threadmill_emulator.content.answers import NOTICE, answer, first_sentences, split_task, title
from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.content.text import tokens, word_count

HERONS = """# The heron

The heron is a large bird. It eats fish! Does it fly? It does.

Herons nest in trees; a heron nest is large.
"""
CHINESE = "蒼鷺是一種大型水鳥。牠吃魚！蒼鷺常常站著不動。蒼鷺會飛嗎？會。"


def test_an_answer_says_that_it_is_emulated_and_summarises_the_document():
    text = answer(Prompt("Summarise this document:\n\n" + HERONS))
    assert text.startswith(NOTICE)
    assert "Task: Summarise this document:" in text
    assert "## The heron" in text
    assert "The heron is a large bird. It eats fish! Does it fly?" in text
    assert "- Length: 25 words, 5 lines" in text


def test_chinese_is_counted_by_character():
    text = answer(Prompt(CHINESE))
    assert "蒼鷺是一種大型水鳥。牠吃魚！蒼鷺常常站著不動。" in text
    assert word_count("蒼鷺會飛 and herons fly") == 4 + 3
    assert tokens("蒼鷺會飛") == 4
    assert tokens("abcdefgh") == 2


def test_images_and_files_are_named():
    text = answer(Prompt("", images=("image/png, 68 bytes",), files=("a.pdf", "b.pdf")))
    assert "- Images: image/png, 68 bytes" in text
    assert "- Files: a.pdf, b.pdf" in text


def test_a_task_is_one_closed_line_before_a_document():
    assert split_task("Summarise:\nA\nB") == ("Summarise:", "A\nB")
    assert split_task("請摘要以下文件：\n\n" + CHINESE) == ("請摘要以下文件：", CHINESE)
    assert split_task("# Heading\n\nText.") == (None, "# Heading\n\nText.")
    assert split_task("A title\n\nText.") == (None, "A title\n\nText.")
    assert split_task("What is a heron?") == (None, "What is a heron?")
    assert split_task("One sentence. And another.\n\nText.")[0] is None


def test_title_is_the_first_heading_else_the_first_line():
    assert title("intro\n## Second\nx") == "Second"
    assert title("\n  first line  \nsecond") == "first line"
    assert title("") == ""
    assert len(title("x" * 200)) == 80


def test_first_sentences_skip_headings_tables_and_code():
    document = "# T\n| a | b |\n```\nOne. Two. Three. Four."
    assert first_sentences(document) == "One. Two. Three."
    assert first_sentences("Version 3.11 is out. Yes.", 1) == "Version 3.11 is out."
