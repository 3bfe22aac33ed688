"""Bodies that create and change vector stores."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from threadmill_emulator.schemas.threads import ChunkingStrategy
from threadmill_emulator.schemas.wire import Body, Metadata

Attributes = Annotated[
    dict[
        Annotated[str, Field(max_length=64)],
        Annotated[
            Annotated[Annotated[str, Field(max_length=512)], Tag("<string>")]
            | Annotated[bool, Tag("<bool>")]
            | Annotated[float, Tag("<number>")],
            Discriminator(lambda value: f"<{_kind(value)}>"),
        ],
    ],
    Field(max_length=16),
]


def _kind(value: object) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"


class ExpiresAfter(Body):
    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class ModifyVectorStore(Body):
    name: str | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class CreateVectorStore(ModifyVectorStore):
    description: str | None = None
    file_ids: list[str] = Field([], max_length=500)
    chunking_strategy: ChunkingStrategy | None = None


class CreateStoredFile(Body):
    file_id: str
    chunking_strategy: ChunkingStrategy | None = None
    attributes: Attributes | None = None


class CreateBatch(Body):
    file_ids: list[str] | None = Field(None, min_length=1, max_length=2000)
    files: list[CreateStoredFile] | None = Field(None, min_length=1, max_length=2000)
    chunking_strategy: ChunkingStrategy | None = None
    attributes: Attributes | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.file_ids is None) == (self.files is None):
            raise PydanticCustomError("one_of", "exactly one of 'file_ids' and 'files' is required")
        return self

    def entries(self) -> list[CreateStoredFile]:
        return self.files or [
            CreateStoredFile.model_construct(
                file_id=id, chunking_strategy=self.chunking_strategy, attributes=self.attributes
            )
            for id in self.file_ids or []
        ]
