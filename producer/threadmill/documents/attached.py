"""Documents that are sent in addition to the prompt: files for the server's tools, and images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.document import Document
from threadmill.documents.template import PromptTemplate
from threadmill.job.filetypes import IMAGE_EXTENSIONS
from threadmill.job.message import FileTool

#: Files with these suffixes are sent as images, also in a set of attached files.
IMAGE_SUFFIXES = (*IMAGE_EXTENSIONS.values(), ".jpeg")


@dataclass(frozen=True)
class AttachedFile(Document):
    """A file that is uploaded for `tool`; the prompt does not contain its text."""

    tool: FileTool

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def variables(self) -> dict[str, Any]:
        return self.common_variables

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        return super().job_fields(template) | {"files": [{"path": str(self.path), "tools": [self.tool]}]}


@dataclass(frozen=True)
class ImageFile(Document):
    """An image that the model sees."""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def variables(self) -> dict[str, Any]:
        """Has an empty `text`: the image is not part of the prompt."""
        return {"text": "", **self.common_variables}

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        prompt = template.render(self.variables())
        return ({"prompt": prompt} if prompt.strip() else {}) | {"images": [str(self.path)]}
