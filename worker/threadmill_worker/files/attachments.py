"""Finds and checks the images and files of a job before anything remote is created.

Contents are read again when they are sent, so that running jobs hold no images in memory. A file that has changed since
then is rejected.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from threadmill.job.filetypes import IMAGE_EXTENSIONS, IMAGE_HEAD, media_type
from threadmill.job.message import is_data_url, is_path, is_upload, label, upload_of
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill.validation import JobValidator, decoded
from threadmill_worker.files import uploaded
from threadmill_worker.files.local_files import opened, read_again, sha256_of, size_of
from threadmill_worker.files.uploaded import opened_upload, read_upload

Purpose = Literal["vision", "assistants"]


@dataclass(frozen=True)
class Attachment:
    """A file to upload."""

    name: str  #: the name on the server
    media_type: str
    size: int  #: bytes
    sha256: str
    purpose: Purpose
    tools: tuple[str, ...]  #: tools that may use it; none for an image
    _content: Callable[[], bytes] = field(repr=False, compare=False)

    def read(self) -> bytes:
        """Returns its content. Blocks: call it in a thread. Raises InvalidJob if the file is gone or has changed."""
        return self._content()


@dataclass(frozen=True)
class _LocalImage:
    """An image that is sent as a data URL."""

    media_type: str
    content: Callable[[], bytes]


@dataclass(frozen=True)
class Attachments:
    """The images and files of a job, which `load_attachments` has checked."""

    #: Each content once per purpose and type, images first, in the job's order. The order is the same in each attempt.
    uploads: tuple[Attachment, ...] = ()
    _images: Mapping[str, str | int | _LocalImage] = field(default_factory=dict)
    _files: tuple[tuple[str | int, tuple[str, ...]], ...] = ()  #: a server's id or an upload's index; its tools

    def image(self, source: str) -> str | int:
        """Returns the URL to send for an image source of the job, or the index of its upload.

        May read a file: call it in a thread. Raises InvalidJob if the file is gone or has changed.
        """
        found = self._images.get(source, source)
        if isinstance(found, _LocalImage):
            return f"data:{found.media_type};base64,{base64.b64encode(found.content()).decode()}"
        return found

    def files_for(self, tool: str, uploaded: Sequence[str]) -> tuple[str, ...]:
        """Returns the ids of the job's files for a tool. `uploaded[i]`: the server's id of `uploads[i]`."""
        ids = (uploaded[which] if isinstance(which, int) else which for which, tools in self._files if tool in tools)
        return tuple(dict.fromkeys(ids))


NONE = Attachments()


async def load_attachments(job: PromptJob, name: str, settings: Settings) -> Attachments:
    """Checks every image and file of the job for the endpoint `name`. Raises InvalidJob for one that cannot be sent."""
    validator = JobValidator(name, settings.endpoints[name])
    validator.check_abilities(job)
    if not job.image_sources and not job.files:
        return NONE
    return await asyncio.to_thread(_gather, job, validator, settings)


def _gather(job: PromptJob, validator: JobValidator, settings: Settings) -> Attachments:
    uploads = _Uploads()
    images: dict[str, str | int | _LocalImage] = {}
    for number, source in enumerate(job.image_sources, 1):
        if is_data_url(source):
            images[source] = _inline_image(source, f"image-{number}", validator, uploads)
        elif is_upload(source):
            images[source] = _uploaded_image(upload_of(source), validator, settings, uploads)
        elif is_path(source):
            images[source] = _local_image(source, validator, settings, uploads)
    files: list[tuple[str | int, tuple[str, ...]]] = []
    for each in job.files:
        if each.upload is not None:
            files.append((uploads.add(_uploaded_file(each.upload, each.tools, validator, settings)), each.tools))
        elif each.path is not None:
            files.append((uploads.add(_file(each.path, each.tools, validator, settings)), each.tools))
        else:
            files.append((each.id or "", each.tools))
    return Attachments(tuple(uploads.attachments), images, tuple(files))


class _Uploads:
    """Collects each content once. The same bytes with another type are another file, because tools use the name."""

    def __init__(self) -> None:
        self.attachments: list[Attachment] = []
        self._index: dict[tuple[Purpose, str, str], int] = {}

    def add(self, attachment: Attachment) -> int:
        """Adds an attachment and returns its index. An equal attachment is reused, for the tools of both."""
        key = (attachment.purpose, attachment.media_type, attachment.sha256)
        index = self._index.setdefault(key, len(self.attachments))
        if index == len(self.attachments):
            self.attachments.append(attachment)
        else:
            there = self.attachments[index]
            self.attachments[index] = replace(there, tools=tuple(dict.fromkeys((*there.tools, *attachment.tools))))
        return index


def _inline_image(source: str, stem: str, validator: JobValidator, uploads: _Uploads) -> str | int:
    content = decoded(source)
    kind = validator.image(label(source), content[:IMAGE_HEAD], len(content))
    if validator.endpoint.supports.data_urls:
        right = f"data:{kind};base64,"
        return source if source.startswith(right) else right + source.partition(",")[2]
    sha256 = hashlib.sha256(content).hexdigest()
    name = stem + IMAGE_EXTENSIONS[kind]
    return uploads.add(Attachment(name, kind, len(content), sha256, "vision", (), partial(decoded, source)))


def _local_image(path: str, validator: JobValidator, settings: Settings, uploads: _Uploads) -> _LocalImage | int:
    with opened(path, settings) as file:
        size = size_of(file)
        kind = validator.image(path, file.read(IMAGE_HEAD), size)
        sha256 = sha256_of(file)
    content = partial(read_again, path, settings, size, sha256)
    if validator.endpoint.supports.data_urls:
        return _LocalImage(kind, content)
    return uploads.add(Attachment(_image_name(path, kind), kind, size, sha256, "vision", (), content))


def _uploaded_image(
    upload_id: str, validator: JobValidator, settings: Settings, uploads: _Uploads
) -> _LocalImage | int:
    with opened_upload(upload_id, settings) as (found, file):
        kind = validator.image(upload_id, file.read(IMAGE_HEAD), found.size)
        sha256 = uploaded.sha256_of(file)
    content = partial(read_upload, upload_id, settings)
    if validator.endpoint.supports.data_urls:
        return _LocalImage(kind, content)
    return uploads.add(Attachment(_image_name(found.name, kind), kind, found.size, sha256, "vision", (), content))


def _image_name(path: str, kind: str) -> str:
    """Returns the name of an image with the right extension, which the server uses; that of the file may be wrong."""
    return Path(path).stem + IMAGE_EXTENSIONS[kind]


def _file(path: str, tools: tuple[str, ...], validator: JobValidator, settings: Settings) -> Attachment:
    with opened(path, settings) as file:
        validator.file_name(path, tools)
        size = size_of(file)
        validator.file(path, size)
        sha256 = sha256_of(file)
    content = partial(read_again, path, settings, size, sha256)
    return Attachment(Path(path).name, media_type(path), size, sha256, "assistants", tools, content)


def _uploaded_file(upload_id: str, tools: tuple[str, ...], validator: JobValidator, settings: Settings) -> Attachment:
    with opened_upload(upload_id, settings) as (found, file):
        validator.file_name(found.name, tools)
        validator.file(found.name, found.size)
        sha256 = uploaded.sha256_of(file)
    content = partial(read_upload, upload_id, settings)
    return Attachment(found.name, media_type(found.name), found.size, sha256, "assistants", tools, content)
