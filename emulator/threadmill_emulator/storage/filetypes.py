"""The file types that each tool accepts, by extension, as in OpenAI's tables."""

from pathlib import PurePath

FILE_SEARCH = frozenset(
    {"c", "cpp", "cs", "css", "doc", "docx", "go", "html", "java", "js", "json", "md", "pdf", "php", "pptx", "py"}
    | {"rb", "sh", "tex", "ts", "txt"}
)
VISION = frozenset({"gif", "jpeg", "jpg", "png", "webp"})
CODE_INTERPRETER = FILE_SEARCH | VISION | {"csv", "pkl", "tar", "xlsx", "xml", "zip"}


def extension(name: str) -> str:
    """Returns the extension in lower case without the dot; "none" if there is none."""
    return PurePath(name).suffix.lstrip(".").lower() or "none"
