"""Some documents of a set, to try things out."""

import hashlib
import heapq
from collections.abc import Iterator
from itertools import islice

from threadmill.documents.document import Document
from threadmill.documents.source import DocumentSet


class First:
    """The first `number` of them."""

    def __init__(self, documents: DocumentSet, number: int) -> None:
        self._documents = documents
        self._number = number

    def __iter__(self) -> Iterator[Document]:
        return islice(iter(self._documents), self._number)

    def __len__(self) -> int:
        return min(self._number, len(self._documents))


class Sample:
    """Any `number` of them, in their order: the same ones every time, as long as they are there."""

    def __init__(self, documents: DocumentSet, number: int) -> None:
        self._documents = documents
        lots = (
            (hashlib.sha256(document.identity.encode()).digest(), place) for place, document in enumerate(documents)
        )
        self._places = {place for _, place in heapq.nsmallest(number, lots)}

    def __iter__(self) -> Iterator[Document]:
        return (document for place, document in enumerate(self._documents) if place in self._places)

    def __len__(self) -> int:
        return len(self._places)
