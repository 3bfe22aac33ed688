"""Bodies that create and change threads, and their tool resources."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from threadmill_emulator.schemas.wire import Body, CreateMessage, Metadata, by_type


class AutoChunking(Body):
    type: Literal["auto"]


class ChunkSizes(Body):
    max_chunk_size_tokens: int = Field(ge=100, le=4096)
    chunk_overlap_tokens: int = Field(ge=0)

    @model_validator(mode="after")
    def _half_at_most(self) -> Self:
        if self.chunk_overlap_tokens * 2 > self.max_chunk_size_tokens:
            raise PydanticCustomError("overlap", "the overlap must not exceed half of max_chunk_size_tokens")
        return self


class StaticChunking(Body):
    type: Literal["static"]
    static: ChunkSizes


ChunkingStrategy = Annotated[
    Annotated[AutoChunking, Tag("<auto>")] | Annotated[StaticChunking, Tag("<static>")], Discriminator(by_type)
]


class CodeInterpreterResources(Body):
    file_ids: list[str] = Field([], max_length=20)


class VectorStoreHelper(Body):
    file_ids: list[str] = Field([], max_length=10_000)
    chunking_strategy: ChunkingStrategy | None = None
    metadata: Metadata | None = None


class FileSearchResources(Body):
    vector_store_ids: list[str] | None = Field(None, max_length=1)
    vector_stores: list[VectorStoreHelper] | None = Field(None, max_length=1)


class ToolResources(Body):
    code_interpreter: CodeInterpreterResources | None = None
    file_search: FileSearchResources | None = None


class CreateThread(Body):
    messages: list[CreateMessage] | None = Field(None, max_length=32)
    metadata: Metadata | None = None
    tool_resources: ToolResources | None = None


class ModifyThread(Body):
    metadata: Metadata | None = None
    tool_resources: ToolResources | None = None
