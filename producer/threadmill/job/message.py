"""What a job says to the model: messages of text and images, and the files that go with them."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from threadmill.job.model import Border

#: Characters a message may hold; openai/openai-openapi PR #219 raised the spec's limit to this.
MESSAGE_LIMIT = 256_000

#: Ids of files on a server: `file-...`, or `assistant-...` for those Azure's code interpreter makes.
_FILE_ID = re.compile(r"^(file|assistant)-[A-Za-z0-9_-]+$")

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")

Text = Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_LIMIT)]


def is_path(image: str) -> bool:
    """Whether an image is named by a path of this machine, not by a URL."""
    return not _SCHEME.match(image)


def is_data_url(image: str) -> bool:
    """Whether an image is given by its content."""
    return image.startswith("data:")


def is_file_id(file: str) -> bool:
    """Whether a file is named by its id on a server, not by a path of this machine."""
    return _FILE_ID.match(file) is not None


def absolute(path: str, folder: Path) -> str:
    """The path as seen from anywhere; a relative one is in `folder`."""
    return str(folder / os.path.expanduser(path))


def _known_source(image: str) -> str:
    if not is_path(image) and not image.startswith(("http://", "https://", "data:image/")):
        raise ValueError("an image is a path, an https URL, or a data:image/... URL")
    return image


#: Paths are read by the worker, from its `file_roots` only.
ImageSource = Annotated[str, StringConstraints(min_length=1), AfterValidator(_known_source)]


class TextPart(Border):
    type: Literal["text"]  #: like that of the other parts no default: records leave defaults out, and need it
    text: Text


class ImageUrl(Border):
    url: ImageSource
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(Border):
    type: Literal["image_url"]
    image_url: ImageUrl


class ImageFile(Border):
    file_id: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFilePart(Border):
    """An image that is on the server, uploaded with purpose `vision`."""

    type: Literal["image_file"]
    image_file: ImageFile


Part = Annotated[TextPart | ImagePart | ImageFilePart, Field(discriminator="type")]


class Message(Border):
    role: Literal["user", "assistant"] = "user"
    content: Text | Annotated[tuple[Part, ...], Field(min_length=1)]

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[str, ...]:
        """The sources of its images."""
        parts = () if isinstance(self.content, str) else self.content
        return tuple(part.image_url.url for part in parts if isinstance(part, ImagePart))

    def at(self, folder: Path) -> Self:
        """The same with its images' paths absolute."""
        if isinstance(self.content, str):
            return self
        return self.model_copy(update={"content": tuple(_at(part, folder) for part in self.content)})


def _at(part: Part, folder: Path) -> Part:
    if not isinstance(part, ImagePart) or not is_path(part.image_url.url):
        return part
    image = part.image_url.model_copy(update={"url": absolute(part.image_url.url, folder)})
    return part.model_copy(update={"image_url": image})


FileTool = Literal["file_search", "code_interpreter"]

#: Tools of the server's own, by the names a job may use for them.
BUILT_IN: tuple[str, ...] = get_args(FileTool)


class FileInput(Border):
    """A file for the model's tools: one to upload (`path`), or one on the server (`id`).

    Short forms: "report.pdf" is a path, "file-abc" an id, both for file_search.
    """

    path: Annotated[str, StringConstraints(min_length=1)] | None = None
    id: Annotated[str, StringConstraints(pattern=_FILE_ID.pattern)] | None = None
    tools: Annotated[tuple[FileTool, ...], Field(min_length=1)] = ("file_search",)

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"id": value} if is_file_id(value) else {"path": value}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.id is None):
            raise ValueError("a file is named by its `path` or by its `id`")
        if self.path is not None and "://" in self.path:
            raise ValueError(f"{self.path} is a URL; a file is a path or an id. Download it first")
        return self

    def at(self, folder: Path) -> Self:
        """The same with its path absolute."""
        return self if self.path is None else self.model_copy(update={"path": absolute(self.path, folder)})
