"""The input of a job: messages with text and images, and files for the model's tools."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from threadmill.job.model import InputModel

#: Characters that a message may hold; openai/openai-openapi PR #219 raised the API's limit to this.
MESSAGE_LIMIT = 256_000

#: Ids of files on a server: `file-...`, or `assistant-...` for files that Azure's code interpreter makes.
_FILE_ID = re.compile(r"^(file|assistant)-[A-Za-z0-9_-]+$")

#: Ids of uploads, which are files that threadmill stores for jobs.
UPLOAD_ID = re.compile(r"^file-tm-[0-9a-f]{32}$")

#: What comes before the id of an upload in the source of an image.
UPLOAD = "upload:"

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")

Text = Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_LIMIT)]


def is_path(image: str) -> bool:
    """Whether an image is a local path, not a URL."""
    return not _SCHEME.match(image)


def is_data_url(image: str) -> bool:
    """Whether an image is a data URL, which holds its content."""
    return image.startswith("data:")


def is_upload(image: str) -> bool:
    """Whether an image is the id of an upload, as `upload:file-tm-...`."""
    return image.startswith(UPLOAD)


def upload_of(image: str) -> str:
    """Returns the id of the upload that an image is."""
    return image.removeprefix(UPLOAD)


def label(source: str) -> str:
    """Returns an image's source, shortened for a message."""
    if is_data_url(source) and len(source) > 40:
        return f"{source[:40]}... ({len(source):,} characters)"
    return source


def is_file_id(file: str) -> bool:
    """Whether a file is an id on a server, not a local path."""
    return _FILE_ID.match(file) is not None


def absolute(path: str, folder: Path) -> str:
    """Returns the absolute path; a relative path starts at `folder`."""
    return str(folder / os.path.expanduser(path))


def _known_source(image: str) -> str:
    if is_upload(image):
        if not UPLOAD_ID.match(upload_of(image)):
            raise ValueError("an uploaded image is `upload:` and the id of an upload, file-tm-...")
        return image
    if not is_path(image) and not image.startswith(("http://", "https://", "data:image/")):
        raise ValueError("an image is a path, an https URL, a data:image/... URL, or upload:ID")
    return image


#: Paths are read by the worker, from its `file_roots` only.
ImageSource = Annotated[str, StringConstraints(min_length=1), AfterValidator(_known_source)]


class TextPart(InputModel):
    type: Literal["text"]  #: no default, here and in the other parts: records omit defaults, and must keep the type
    text: Text


class ImageUrl(InputModel):
    url: ImageSource
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(InputModel):
    type: Literal["image_url"]
    image_url: ImageUrl


class ImageFile(InputModel):
    file_id: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFilePart(InputModel):
    """An image on the server, uploaded with purpose `vision`."""

    type: Literal["image_file"]
    image_file: ImageFile


Part = Annotated[TextPart | ImagePart | ImageFilePart, Field(discriminator="type")]


class Message(InputModel):
    role: Literal["user", "assistant"] = "user"
    content: Text | Annotated[tuple[Part, ...], Field(min_length=1)]

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[str, ...]:
        """The paths and URLs of its images."""
        parts = () if isinstance(self.content, str) else self.content
        return tuple(part.image_url.url for part in parts if isinstance(part, ImagePart))

    @property
    def file_ids(self) -> tuple[str, ...]:
        """The ids of its images that are on a server."""
        parts = () if isinstance(self.content, str) else self.content
        return tuple(part.image_file.file_id for part in parts if isinstance(part, ImageFilePart))

    def at(self, folder: Path) -> Self:
        """Returns a copy in which the paths of images are absolute."""
        if isinstance(self.content, str):
            return self
        return self.model_copy(update={"content": tuple(_at(part, folder) for part in self.content)})


def _at(part: Part, folder: Path) -> Part:
    if not isinstance(part, ImagePart) or not is_path(part.image_url.url):
        return part
    image = part.image_url.model_copy(update={"url": absolute(part.image_url.url, folder)})
    return part.model_copy(update={"image_url": image})


FileTool = Literal["file_search", "code_interpreter"]

#: Names of the server's own tools, as a job writes them.
BUILT_IN: tuple[str, ...] = get_args(FileTool)


class FileInput(InputModel):
    """A file for the model's tools: a local file (`path`), an upload (`upload`), or a file on the server (`id`).

    A string is short for one of them, for file_search: "report.pdf" is a path, "file-tm-..." an upload, "file-abc" an
    id.
    """

    path: Annotated[str, StringConstraints(min_length=1)] | None = None
    id: Annotated[str, StringConstraints(pattern=_FILE_ID.pattern)] | None = None
    tools: Annotated[tuple[FileTool, ...], Field(min_length=1)] = ("file_search",)
    upload: Annotated[str, StringConstraints(pattern=UPLOAD_ID.pattern)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            if UPLOAD_ID.match(value):
                return {"upload": value}
            return {"id": value} if is_file_id(value) else {"path": value}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.path, self.id, self.upload)) != 1:
            raise ValueError("a file needs one of `path`, `upload` and `id`")
        if self.path is not None and "://" in self.path:
            raise ValueError(f"{self.path} is a URL; a file is a path or an id. Download it first")
        return self

    @property
    def shown(self) -> str:
        """The path or the id, for messages."""
        return self.path or self.upload or self.id or ""

    def at(self, folder: Path) -> Self:
        """Returns a copy with an absolute path."""
        return self if self.path is None else self.model_copy(update={"path": absolute(self.path, folder)})
