"""Handles surrogates: halves of characters, which JSON, PDFs and file names can have and UTF-8 cannot. PURE."""


def replace_surrogates(text: str) -> str:
    """Joins pairs of surrogates to characters, and replaces single ones with U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def escape_surrogates(text: str) -> str:
    """Replaces surrogates with escapes, as in `caf\\udce9.txt` for a file name that is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
