"""Tells a model's reasoning from its answer, where the server sends both as one text. PURE.

Servers without a parser for the model's reasoning leave `<think>...</think>` at the beginning of the content. The
templates of some models write the opening tag themselves, so that only the closing one is in the content
(vllm-project/vllm #13125, ggml-org/llama.cpp #11861).
"""

_OPEN, _CLOSE = "<think>", "</think>"


def split_thinking(content: str) -> tuple[str, str]:
    """Returns the reasoning and the answer. Reasoning that the server cut has no end, and then there is no answer."""
    start = content.lstrip()
    is_open = start.startswith(_OPEN)
    before, closed, after = start.removeprefix(_OPEN).partition(_CLOSE)
    if closed and (is_open or _OPEN not in before):
        return before.strip(), after.lstrip()
    return (before.strip(), "") if is_open else ("", content)


class Visible:
    """The part of a text that is an answer, while its pieces arrive."""

    def __init__(self) -> None:
        self._held = ""
        self._is_answer = False

    def feed(self, piece: str) -> str:
        """Returns what the piece adds to the answer."""
        if self._is_answer:
            return piece
        self._held += piece
        start = self._held.lstrip()
        if _OPEN.startswith(start[: len(_OPEN)]) and len(start) < len(_OPEN):  # it may become the tag
            return ""
        if not start.startswith(_OPEN):
            self._is_answer = True
            return self._held
        _, closed, after = start.partition(_CLOSE)
        self._is_answer = bool(closed and after.strip())
        return after.lstrip() if self._is_answer else ""
