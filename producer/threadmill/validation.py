"""Checks a job, its images and its files against what its endpoint supports.

The producer checks what it can read before it enqueues the job. The worker checks everything before it creates a
remote object. Every InvalidJob names the thing, the reason and the remedy.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from threadmill.errors import InvalidJob, UploadNotFound
from threadmill.job.filetypes import IMAGE_HEAD, image_type, unfit
from threadmill.job.json.schema import response_format_problem, tools_problem
from threadmill.job.message import is_data_url, is_path, is_upload, label, upload_of
from threadmill.job.prompt import PromptJob
from threadmill.job.upload import Upload
from threadmill.settings.endpoints.abilities import check_abilities
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.local_files import locate
from threadmill.settings.settings import Settings

_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class JobValidator:
    """Checks jobs against one endpoint."""

    name: str
    endpoint: Endpoint

    def check(self, job: PromptJob, settings: Settings) -> None:
        """Checks the job and those of its files that exist on this machine. Raises InvalidJob."""
        self.check_abilities(job)
        for source in job.image_sources:
            if is_data_url(source):
                content = decoded(source)
                self.image(label(source), content[:IMAGE_HEAD], len(content))
            elif is_path(source):
                found = locate(source, settings.file_roots, producer=True)
                if found.exists():
                    with found.open("rb") as file:
                        self.image(source, file.read(IMAGE_HEAD), found.stat().st_size)
        for each in job.files:
            if each.path is not None:
                found = locate(each.path, settings.file_roots, producer=True)
                self.file_name(each.path, each.tools)
                if found.exists():
                    self.file(each.path, found.stat().st_size)

    def check_upload(self, job: PromptJob, upload: Upload) -> None:
        """Checks an upload that is an image or a file of the job. Raises InvalidJob."""
        if upload.owner not in (None, job.tenant):
            raise InvalidJob(f"uploads: {UploadNotFound(upload.id)}")
        if upload.id in map(upload_of, filter(is_upload, job.image_sources)):
            self._check_size(upload.id, upload.size, "image_limit_bytes", self.endpoint.image_limit_bytes)
        for each in job.files:
            if each.upload == upload.id:
                self.file_name(upload.name, each.tools)
                self.file(upload.name, upload.size)

    def check_abilities(self, job: PromptJob) -> None:
        """Checks the job without reading its files. Raises InvalidJob."""
        _check_schemas(job)
        check_abilities(self.name, self.endpoint, job)

    def image(self, shown: str, head: bytes, size: int) -> str:
        """Returns the media type of an image with first bytes `head` and `size` bytes. Raises InvalidJob."""
        self._check_size(shown, size, "image_limit_bytes", self.endpoint.image_limit_bytes)
        media_type = image_type(head)
        if media_type is None:
            raise InvalidJob(
                f"{shown}: is not a PNG, JPEG, GIF or WebP image (it starts with {head[:8]!r}); convert it to one"
            )
        return media_type

    def file_name(self, path: str, tools: Sequence[str]) -> None:
        """Raises InvalidJob for a file type that one of the tools does not accept."""
        reason = unfit(path, tools)
        if reason:
            raise InvalidJob(f"{path}: {reason}")

    def file(self, shown: str, size: int) -> None:
        """Raises InvalidJob for an empty or too large file."""
        self._check_size(shown, size, "file_limit_bytes", self.endpoint.file_limit_bytes)

    def _check_size(self, shown: str, size: int, setting: str, limit: int) -> None:
        if size == 0:
            raise InvalidJob(f"{shown}: is empty; fill it, or leave it out")
        if size > limit:
            raise InvalidJob(
                f"{shown}: has {size:,} bytes, and endpoint {self.name!r} takes up to {limit:,}; "
                f"make it smaller, or raise {setting} in [endpoints.{self.name}] if its server takes more"
            )


def _check_schemas(job: PromptJob) -> None:
    if problem := response_format_problem(job.response_format):
        raise InvalidJob(f"`response_format`: {problem}")
    if problem := tools_problem(job.tools or ()):
        raise InvalidJob(f"`tools`: {problem}")


def decoded(data_url: str) -> bytes:
    """Returns the content of an image's data URL. Raises InvalidJob."""
    prefix = _DATA_URL.match(data_url)
    if prefix is None:
        raise InvalidJob(f"{label(data_url)}: is not a base64 data URL; write data:image/png;base64,...")
    try:
        return base64.b64decode(data_url[prefix.end() :], validate=True)
    except binascii.Error as error:
        raise InvalidJob(f"{label(data_url)}: is not valid base64 ({error}); encode the image again") from None
