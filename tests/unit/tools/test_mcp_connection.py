"""What an MCP server answers, as the text that the model gets: structured content is passed once."""

from typing import Any

import pytest
from mcp_types import CallToolResult

from threadmill_worker.tools.mcp_connection import _text

IMAGE = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}


def text_of(*blocks: Any, structured: Any = None) -> str:
    content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    return _text(CallToolResult.model_validate({"content": content, "structuredContent": structured}))


@pytest.mark.parametrize(
    ("blocks", "structured"),
    [
        (['{"city": "Taipei", "degrees": 22}'], {"degrees": 22, "city": "Taipei"}),
        (["It is mild.", '{"degrees": 22}'], {"degrees": 22}),
        (["line one\nline two"], {"content": "line one\nline two"}),  # the reference file system server
        (["one", "two"], {"content": "one\ntwo"}),
        (["one", "two"], {"items": ["one", "two"]}),
        (['{"n": 1}', '{"n": 2}'], {"items": [{"n": 1}, {"n": 2}]}),
        (["[1, 2]"], {"numbers": [1, 2]}),
        (["5"], {"result": 5}),
    ],
)
def test_content_that_the_texts_contain_is_not_repeated(blocks: list[str], structured: Any) -> None:
    assert text_of(*blocks, structured=structured) == "\n".join(blocks)


def test_an_image_is_not_passed_as_structured_text() -> None:
    said = text_of(IMAGE, structured={"content": [IMAGE]})
    assert said == "[image, image/png, left out]"


@pytest.mark.parametrize(
    "structured", [{"degrees": 22}, {"content": "It is cold."}, {"mild": True, "text": "It is mild."}]
)
def test_what_only_the_structured_content_says_is_kept(structured: Any) -> None:
    said = text_of("It is mild.", structured=structured)
    assert said.startswith("It is mild.\n{")
    assert str(next(iter(structured))) in said


def test_structured_content_alone_is_the_text() -> None:
    assert text_of(structured={"degrees": 22}) == '{"degrees": 22}'
