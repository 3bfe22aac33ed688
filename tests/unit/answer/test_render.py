"""An answer as a reader gets it: footnotes in place of markers, links to what the model made."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.job.result import Artifact, Citation
from threadmill_worker.answer.render import blank, compose, made_files, plain, unnamed_files

NAMES = {"file-a": "alpha.pdf", "file-b": "beta.pdf"}
MARK, OTHER = "【4:0†source】", "【4:1†source】"


def text(value: str, *annotations: Any) -> dict[str, Any]:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def cites(file_id: str, mark: str, start: Any = None, **more: Any) -> dict[str, Any]:
    """A citation; without `start` the server sent no indices."""
    place = {} if start is None else {"start_index": start, "end_index": start + len(mark)}
    return {"type": "file_citation", "text": mark, "file_citation": {"file_id": file_id}, **place, **more}


def made(file_id: str, path: str, start: int = -1) -> dict[str, Any]:
    return {"type": "file_path", "text": path, "file_path": {"file_id": file_id}, "start_index": start,
            "end_index": start + len(path)}  # fmt: skip


def page(url: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    return {"type": "url_citation", "url": url, "start_index": start, "end_index": end, **more}


def shown(*blocks: Any) -> str:
    return compose(list(blocks), NAMES, {})[0]


def test_sources_are_numbered_in_reading_order() -> None:
    value = f"First{MARK} then{OTHER} and again{MARK}."
    again = value.rindex(MARK)
    answer, citations = compose(
        [text(value, cites("file-b", MARK, again), cites("file-a", OTHER, 18), cites("file-b", MARK, 5))], NAMES, {}
    )
    assert answer == "First[1] then[2] and again[1].\n\n[1] beta.pdf\n[2] alpha.pdf"
    assert citations == (
        Citation(number=1, file_id="file-b", name="beta.pdf"),
        Citation(number=2, file_id="file-a", name="alpha.pdf"),
    )


def test_equal_markers_of_different_files_are_distinguished_by_their_indices() -> None:
    value = f"one{MARK} two{MARK}"
    notes = cites("file-b", MARK, value.rindex(MARK)), cites("file-a", MARK, 3)
    assert shown(text(value, *notes)) == "one[1] two[2]\n\n[1] alpha.pdf\n[2] beta.pdf"


def test_indices_count_code_points() -> None:
    value = f"臺北 🏙️ 甲{MARK} 乙{MARK}"
    notes = cites("file-a", MARK, value.index(MARK)), cites("file-b", MARK, value.rindex(MARK))
    assert shown(text(value, *notes)).startswith("臺北 🏙️ 甲[1] 乙[2]\n\n")


def test_one_numbering_goes_through_the_whole_answer() -> None:
    blocks = (text(f"x{MARK}", cites("file-b", MARK, 1)), text(f"y{OTHER}{MARK}", cites("file-a", OTHER, 1),
              cites("file-b", MARK, 12)))  # fmt: skip
    assert shown(*blocks) == "x[1]\n\ny[2][1]\n\n[1] beta.pdf\n[2] alpha.pdf"
    assert unnamed_files(blocks) == ("file-b", "file-a")


@pytest.mark.parametrize("start", [None, 0, 999, -4, "5", 5.0, True], ids=str)
def test_wrong_indices_fall_back_to_the_first_occurrence_left(start: Any) -> None:
    wrong = {"start_index": start, "end_index": 7} if start is not None else {}
    value = f"one{MARK} two{MARK} three{MARK}"
    notes = (cites("file-a", MARK) | wrong, cites("file-b", MARK, 3), cites("file-c", MARK) | wrong)
    assert shown(text(value, *notes)).splitlines()[0] == "one[1] two[2] three[3]"


def test_duplicates_change_nothing_and_two_files_at_one_position_are_named() -> None:
    note = cites("file-a", MARK, 1)
    assert shown(text(f"x{MARK}", note, note)) == "x[1]\n\n[1] alpha.pdf"
    assert shown(text(f"x{MARK}", note, cites("file-b", MARK, 1))) == "x[1][2]\n\n[1] alpha.pdf\n[2] beta.pdf"


def test_overlapping_annotations_do_not_tear_the_text() -> None:
    notes = cites("file-a", "cde", 2), cites("file-b", "efg", 4)
    assert shown(text("abcdefgh", *notes)) == "ab[1]fgh\n\n[1] alpha.pdf\n[2] beta.pdf"


def test_unmatched_markers_are_removed_and_unmatched_sources_listed() -> None:
    assert shown(text(f"known{MARK}, lost{OTHER}.", cites("file-a", MARK, 5))) == "known[1], lost.\n\n[1] alpha.pdf"
    assert shown(text("no marker", cites("file-b", MARK, 4))) == "no marker\n\n[1] beta.pdf"
    assert shown(text("kept: 【註】 and 【4】")) == "kept: 【註】 and 【4】"


def test_a_file_without_a_name_is_cited_by_its_id() -> None:
    note = cites("file-x", MARK, 1)
    note["file_citation"]["quote"] = "the very words"
    answer, citations = compose([text(f"x{MARK}", note)], {}, {})
    assert answer == "x[1]\n\n[1] file-x"
    assert citations == (Citation(number=1, file_id="file-x", quote="the very words"),)


def test_pages_keep_the_passage_they_stand_on() -> None:
    blocks = [text("Rain today, sun tomorrow.", page("https://w.tw/a", 0, 10, title="Weather\nreport"),
                   page("https://w.tw/b", 12, 24))]  # fmt: skip
    answer, citations = compose(blocks, {}, {})
    assert answer == (
        "Rain today[1], sun tomorrow[2].\n\n[1] Weather report, https://w.tw/a\n[2] https://w.tw/b"
    )  # fmt: skip
    assert [(c.url, c.file_id) for c in citations] == [("https://w.tw/a", None), ("https://w.tw/b", None)]


def test_pages_as_azure_sends_them_nested_and_with_a_marker() -> None:
    note = {"type": "url_citation", "text": MARK, "start_index": 1, "end_index": 13,
            "url_citation": {"url": "https://w.tw", "title": "W"}}  # fmt: skip
    assert shown(text(f"x{MARK}", note)) == "x[1]\n\n[1] W, https://w.tw"


def test_links_to_made_files_lead_to_the_artifacts() -> None:
    path = "sandbox:/mnt/data/out.csv"
    blocks = [text(f"Here: [out]({path}).", made("file-m", path, 12))]
    stored = Artifact(file_id="file-m", name="out (1).csv", uri="/data/job 1/out (1)#.csv")
    assert compose(blocks, {}, {"file-m": stored}) == ("Here: [out](/data/job%201/out%20%281%29%23.csv).", ())
    lost = Artifact(file_id="file-m", name="out.csv", error="too big")
    assert compose(blocks, {}, {"file-m": lost})[0] == f"Here: [out]({path})."
    assert made_files(blocks) == ("file-m",)


def test_images_are_shown_where_they_stand() -> None:
    image = {"type": "image_file", "image_file": {"file_id": "file-i"}}
    stored = Artifact(file_id="file-i", name="p[1].png", uri="s3://b/job/p.png")
    assert (
        compose([text("a"), image, text("b")], {}, {"file-i": stored})[0]
        == "a\n\n![p\\[1\\].png](s3://b/job/p.png)\n\nb"
    )
    assert compose([image], {"file-i": "p.png"}, {})[0] == "[image: p.png]"
    assert shown(image) == "[image: file-i]"
    assert shown({"type": "image_url", "image_url": {"url": "https://x.tw/a b.png?c=1"}}) == (
        "![image](https://x.tw/a%20b.png?c=1)"
    )
    assert shown({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}) == "[image]"


def test_made_files_come_once_and_in_order() -> None:
    image = {"type": "image_file", "image_file": {"file_id": "file-i"}}
    blocks = [
        text("x sandbox:/b sandbox:/a", made("file-a", "sandbox:/a", 13), made("file-b", "sandbox:/b", 2)),
        image,
        image,
    ]
    assert made_files(blocks) == ("file-b", "file-a", "file-i")
    assert unnamed_files(blocks) == ()


def test_a_citation_takes_the_name_that_its_annotation_gives_the_file() -> None:
    """OGX and OpenAI's Responses API send one."""
    named = {"file_citation": {"file_id": "file-a", "filename": "A of the server.pdf"}}
    block = text(f"x{MARK} y{OTHER}", cites("file-a", MARK, 1) | named, cites("file-b", OTHER))
    answer, _ = compose([block], NAMES, {})
    assert answer.endswith("[1] A of the server.pdf\n[2] beta.pdf")
    assert unnamed_files([block]) == ("file-b",)


@pytest.mark.parametrize("filename", ["", None, 7, "file-a"], ids=str)
def test_a_meaningless_name_is_looked_up(filename: Any) -> None:
    block = text(f"x{MARK}", cites("file-a", MARK, 1, filename=filename))
    assert unnamed_files([block]) == ("file-a",)
    assert shown(block).endswith("[1] alpha.pdf")


def test_a_refusal_is_its_text_and_plain_strings_are_text() -> None:
    assert shown({"type": "refusal", "refusal": "I cannot help with that."}, "as it is") == (
        "I cannot help with that.\n\nas it is"
    )
    assert compose("only a string", {}, {}) == ("only a string", ())
    assert shown({"type": "text", "text": "a string"}) == "a string"


@pytest.mark.parametrize("nothing", [[], None, [text("")], [text(" \n")], [{"type": "text"}], [None]], ids=str)
def test_an_answer_without_a_word_is_blank(nothing: Any) -> None:
    assert blank(nothing)


@pytest.mark.parametrize("something", ["x", [text("x")], [{"type": "image_file"}], [{"type": "refusal"}]], ids=str)
def test_an_answer_with_a_word_or_an_image_is_not(something: Any) -> None:
    assert not blank(something)


def test_json_is_read_from_the_plain_text() -> None:
    blocks = [text(f'{{"a": "b{MARK}"}}', cites("file-a", MARK, 8))]
    assert plain(blocks) == f'{{"a": "b{MARK}"}}'


def test_ten_thousand_annotations_are_rendered_quickly() -> None:
    value = MARK * 10_000
    notes = [cites(f"file-{number}", MARK) for number in range(10_000)]
    answer, citations = compose([text(value, *notes)], {}, {})
    assert answer.startswith("[1][2][3]")
    assert len(citations) == 10_000


scalars = st.none() | st.booleans() | st.integers(-3, 40) | st.floats(allow_nan=False) | st.text(max_size=12)
json_like = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
marks = st.sampled_from([MARK, OTHER, "x", "", "sandbox:/a"])
indices = st.integers(-3, 60) | scalars
ids = st.sampled_from(["file-a", "file-b", "file-c", "", "https://a"])
inner = st.fixed_dictionaries({}, optional={"file_id": ids | scalars, "url": ids, "title": scalars, "quote": scalars})
annotations = st.fixed_dictionaries(
    {"type": st.sampled_from(["file_citation", "file_path", "url_citation", "odd"])},
    optional={"text": marks | scalars, "start_index": indices, "end_index": indices, "file_citation": inner | scalars,
              "file_path": inner | scalars, "url_citation": inner | scalars, "url": ids, "file_id": ids},
)  # fmt: skip
values = st.lists(marks | st.text(max_size=6), max_size=5).map("".join)
contents = st.fixed_dictionaries(
    {}, optional={"value": values | scalars, "annotations": st.lists(annotations | json_like, max_size=6) | scalars}
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_file", "image_url", "refusal", "odd"])},
    optional={
        "text": contents | json_like,
        "image_file": inner | scalars,
        "image_url": inner | scalars,
        "refusal": json_like,
    },
)


@given(st.lists(blocks | json_like, max_size=4) | json_like)
def test_any_annotations_are_accepted_and_each_source_listed_once(content: Any) -> None:
    stored = Artifact(file_id="file-a", name="a", uri="/a")
    answer, citations = compose(content, NAMES, {"file-a": stored})
    assert [citation.number for citation in citations] == list(range(1, len(citations) + 1))
    assert len({(c.file_id, c.url) for c in citations}) == len(citations)
    assert tuple(c.file_id for c in citations if c.file_id) == unnamed_files(content)
    assert all(f"[{citation.number}] " in answer for citation in citations)
    assert len(set(made_files(content))) == len(made_files(content))
    assert isinstance(blank(content), bool)


@given(st.lists(st.text().filter(lambda value: "【" not in value), min_size=1))
def test_text_that_refers_to_nothing_comes_back_unchanged(texts: list[str]) -> None:
    joined = "\n\n".join(filter(None, texts))
    assert compose([text(value) for value in texts], NAMES, {}) == (joined, ())
    assert plain([text(value) for value in texts]) == joined
