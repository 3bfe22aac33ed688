"""The messages of a job as the input items of a response. PURE."""

from typing import Any

from threadmill.job.message import ImageFilePart, ImagePart, Message, TextPart
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.identifiers import MESSAGE, id_of


def input_items(record: JobRecord) -> list[dict[str, Any]]:
    """Returns the items in the order of the request."""
    return [_item(message, f"{id_of(MESSAGE, record.id)}_{at}") for at, message in enumerate(record.job.conversation)]


def _item(message: Message, id: str) -> dict[str, Any]:
    content = [TextPart(type="text", text=message.content)] if isinstance(message.content, str) else message.content
    parts = [_part(part, message.role) for part in content]
    return {"id": id, "type": "message", "role": message.role, "status": "completed", "content": parts}


def _part(part: TextPart | ImagePart | ImageFilePart, role: str) -> dict[str, Any]:
    match part:
        case TextPart() if role == "assistant":
            return {"type": "output_text", "text": part.text, "annotations": []}
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            return {"type": "input_image", "image_url": part.image_url.url, "detail": part.image_url.detail}
        case _:
            return {"type": "input_image", "file_id": part.image_file.file_id, "detail": part.image_file.detail}
