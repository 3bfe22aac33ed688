"""Parts of a document set: the first documents, and a sample that is the same every time."""

import pytest

from threadmill.documents.choice import DocumentSample, FirstDocuments
from threadmill.documents.find import find


@pytest.fixture
def documents(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02}.txt").write_text(f"Text {number}")
    return find([tmp_path])


def names(documents) -> list[str]:
    return [document.identity for document in documents]


@pytest.mark.parametrize("number", [0, 3, 20, 25])
def test_the_first_documents_are_in_the_order_of_the_set(documents, number):
    first = FirstDocuments(documents, number)
    assert names(first) == names(documents)[:number]
    assert len(first) == len(names(first))


@pytest.mark.parametrize("number", [0, 3, 20, 25])
def test_a_sample_holds_different_documents_in_the_order_of_the_set(documents, number):
    sample = DocumentSample(documents, number)
    chosen = set(names(sample))
    assert names(sample) == [name for name in names(documents) if name in chosen]
    assert len(sample) == len(chosen) == min(number, 20)


def test_a_sample_is_the_same_every_time_and_grows_with_its_number(documents):
    three, again, five = (DocumentSample(documents, number) for number in (3, 3, 5))
    assert names(three) == names(again) != names(FirstDocuments(documents, 3))
    assert set(names(three)) < set(names(five))
