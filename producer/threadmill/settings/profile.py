"""A profile: an assistant described in the settings or in a file, under a name."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints, field_validator

from threadmill.job.json.schema import response_format_problem, tools_problem
from threadmill.job.model import InputModel, Metadata
from threadmill.names import Name

ProfileName = Name


class Profile(InputModel):
    """The description of an assistant. Its fields have the limits of the Assistants API (POST /assistants)."""

    model: Annotated[str, StringConstraints(min_length=1)]
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    description: Annotated[str, StringConstraints(max_length=512)] | None = None
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None
    #: Names of tools in [tools] and [mcp], names of the server's own tools, or definitions in the server's form.
    tools: tuple[str | dict[str, JsonValue], ...] = Field(default=(), max_length=128)
    tool_resources: dict[str, JsonValue] | None = None  #: ids of files and vector stores on the server
    response_format: str | dict[str, JsonValue] | None = None
    reasoning_effort: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    metadata: Metadata = Field(default={})

    @field_validator("metadata")
    @classmethod
    def _ours_left_out(cls, metadata: dict[str, str]) -> dict[str, str]:
        if "threadmill" in metadata:
            raise ValueError("the key `threadmill` is reserved: it marks applied profiles; leave it out")
        return metadata

    @field_validator("response_format")
    @classmethod
    def _valid_response_format(cls, response_format: str | dict[str, JsonValue] | None) -> Any:
        if problem := response_format_problem(response_format):
            raise ValueError(problem)
        return response_format

    @field_validator("tools")
    @classmethod
    def _valid_tools(cls, tools: tuple[str | dict[str, JsonValue], ...]) -> Any:
        if problem := tools_problem(tools):
            raise ValueError(problem)
        return tools

    @field_validator("tool_resources")
    @classmethod
    def _made_before(cls, resources: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        search = (resources or {}).get("file_search")
        if isinstance(search, dict) and "vector_stores" in search:
            raise ValueError(
                "`vector_stores` would create a store each time; create one, and name it in vector_store_ids"
            )
        return resources
