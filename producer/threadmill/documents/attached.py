"""Documents that go along with the prompt: files for the server's tools, images for the model to see."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.documents.document import Document, shown
from threadmill.documents.template import PromptTemplate
from threadmill.filetypes import IMAGE_EXTENSIONS
from threadmill.message import FileTool

#: Of images, as which they are taken whatever the set is made of.
IMAGES = (*IMAGE_EXTENSIONS.values(), ".jpeg")


@dataclass(frozen=True)
class Attached(Document):
    """Uploaded for `tool`, which reads what the prompt does not hold."""

    tool: FileTool

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def variables(self) -> dict[str, Any]:
        return {"name": self.name, "path": shown(self.path), "part": 1, "parts": 1}

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        return super().job_fields(template) | {"files": [{"path": str(self.path), "tools": [self.tool]}]}


@dataclass(frozen=True)
class Image(Document):
    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def variables(self) -> dict[str, Any]:
        """`text` is empty: the model sees the image beside the prompt."""
        return {"text": "", "name": self.name, "path": shown(self.path), "part": 1, "parts": 1}

    def job_fields(self, template: PromptTemplate) -> dict[str, Any]:
        prompt = template.render(self.variables())
        return ({"prompt": prompt} if prompt.strip() else {}) | {"images": [str(self.path)]}
