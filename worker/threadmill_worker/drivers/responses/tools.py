"""The tools of a request. Functions are flat in this API; the server's own tools name their files and stores. PURE."""

from typing import Any

from threadmill.errors import InvalidJob
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.progress import Progress

#: Fields that the Responses API requires of every function, and the Assistants API does not.
_FUNCTION: dict[str, Any] = {"strict": False, "parameters": {"type": "object", "properties": {}}}


def tools_of(spec: JobSpec, progress: Progress) -> list[dict[str, Any]] | None:
    """Returns the tools of the job's runs; None: the request names none. Raises InvalidJob."""
    return None if spec.tools is None else [_tool(tool, spec, progress) for tool in spec.tools]


def tool_choice_of(spec: JobSpec) -> Any:
    """Returns the job's choice of a tool; None: the request has none."""
    choice = spec.job.tool_choice
    return flat(choice, "function") if isinstance(choice, dict) else choice


def flat(value: dict[str, Any], name: str) -> dict[str, Any]:
    """{"type": T, T: {...}} of the Assistants API -> {"type": T, ...}"""
    inner = value.get(name)
    return {"type": value["type"], **inner} if isinstance(inner, dict) else dict(value)


def _tool(tool: dict[str, Any], spec: JobSpec, progress: Progress) -> dict[str, Any]:
    match tool.get("type"):
        case "function" if isinstance(tool.get("function"), dict):
            return {**_FUNCTION, **flat(tool, "function")}
        case "file_search":
            own = [progress.store.id] if progress.store is not None else []
            stores = [*own, *_resources(spec, "file_search", "vector_store_ids")]
            return _with_ids(flat(tool, "file_search"), "vector_store_ids", stores)
        case "code_interpreter":
            files = spec.attachments.files_for("code_interpreter", progress.uploaded)
            ids = [*files, *_resources(spec, "code_interpreter", "file_ids")]
            container = tool.get("container") or {"type": "auto"}
            if isinstance(container, dict):
                return {**tool, "container": _with_ids(container, "file_ids", ids)}
            if files:
                raise InvalidJob(
                    f"`tools`: files cannot be put into the container {container!r} that code_interpreter names; "
                    "leave the container out, or the files"
                )
    return tool


def _resources(spec: JobSpec, tool: str, what: str) -> list[str]:
    """Returns the files or stores of the profile's tool."""
    resources = spec.profile and spec.profile.tool_resources
    of_tool = (resources or {}).get(tool)
    ids = of_tool.get(what) if isinstance(of_tool, dict) else None
    return [str(each) for each in ids] if isinstance(ids, list) else []


def _with_ids(tool: dict[str, Any], field: str, ids: list[str]) -> dict[str, Any]:
    """Returns the tool with these ids added to the field."""
    given = tool.get(field)
    return {**tool, field: list(dict.fromkeys([*ids, *(given if isinstance(given, list) else ())]))}
