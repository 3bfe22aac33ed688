"""Why a document cannot be used."""

from threadmill.job.message import MESSAGE_LIMIT


class BadDocument(Exception):
    """The document cannot be used. The message has the reason and the remedy."""


def too_long(size: str) -> str:
    return f"has {size}; a message holds {MESSAGE_LIMIT:,} characters. Split the document, or use --split"
