"""Bodies that create and change threads, their tool resources, and vector stores."""

from typing import Any, Literal

from pydantic import Field

from threadmill_emulator.schemas.wire import Body, CreateMessage, Metadata


class CodeInterpreterResources(Body):
    file_ids: list[str] = Field([], max_length=20)


class VectorStoreHelper(Body):
    file_ids: list[str] = Field([], max_length=10_000)
    chunking_strategy: dict[str, Any] | None = None
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


class ExpiresAfter(Body):
    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class CreateVectorStore(Body):
    name: str | None = None
    description: str | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None
    file_ids: list[str] = Field([], max_length=500)
    chunking_strategy: dict[str, Any] | None = None
