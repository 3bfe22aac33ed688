"""Which files each use takes, told by their extension, as OpenAI's tables have it."""

from pathlib import PurePath

FILE_SEARCH = frozenset(
    {"c", "cpp", "cs", "css", "doc", "docx", "go", "html", "java", "js", "json", "md", "pdf", "php", "pptx", "py"}
    | {"rb", "sh", "tex", "ts", "txt"}
)
VISION = frozenset({"gif", "jpeg", "jpg", "png", "webp"})
CODE_INTERPRETER = FILE_SEARCH | VISION | {"csv", "pkl", "tar", "xlsx", "xml", "zip"}


def extension(name: str) -> str:
    """Lower case, without the dot; "none" where there is none."""
    return PurePath(name).suffix.lstrip(".").lower() or "none"
