"""A profile: a named assistant that lives in our settings or in a file of its own, not on a server."""

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from threadmill.border import Border


class Profile(Border):
    """What an assistant is made of. Field limits: the Assistants API's own (POST /assistants)."""

    model: Annotated[str, StringConstraints(min_length=1)]
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    description: Annotated[str, StringConstraints(max_length=512)] | None = None
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None
    #: Names from the settings' [tools] and [mcp], or tool definitions in the server's own form.
    tools: tuple[str | dict[str, JsonValue], ...] = Field(default=(), max_length=128)
    tool_resources: dict[str, JsonValue] | None = None  #: files and vector stores, by the server's ids
    response_format: str | dict[str, JsonValue] | None = None
    reasoning_effort: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    metadata: dict[str, str] = Field(default={})
