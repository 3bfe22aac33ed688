"""Selects some documents of a set, to try out a prompt."""

import hashlib
import heapq
from collections.abc import Iterator
from itertools import islice

from threadmill.documents.document import Document
from threadmill.documents.source import DocumentSet


class FirstDocuments:
    """The first `number` documents of a set."""

    def __init__(self, documents: DocumentSet, number: int) -> None:
        self._documents = documents
        self._number = number

    def __iter__(self) -> Iterator[Document]:
        return islice(iter(self._documents), self._number)

    def __len__(self) -> int:
        return min(self._number, len(self._documents))


class DocumentSample:
    """A random sample of `number` documents, in their order. The same set has the same sample every time."""

    def __init__(self, documents: DocumentSet, number: int) -> None:
        self._documents = documents
        ranked = (
            (hashlib.sha256(document.identity.encode()).digest(), index) for index, document in enumerate(documents)
        )
        self._indexes = {index for _, index in heapq.nsmallest(number, ranked)}

    def __iter__(self) -> Iterator[Document]:
        return (document for index, document in enumerate(self._documents) if index in self._indexes)

    def __len__(self) -> int:
        return len(self._indexes)
