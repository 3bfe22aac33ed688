"""`/docs`: a page without scripts that lists the routes, each with a command that calls it."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

#: Bodies of the examples, by path.
_BODIES: Mapping[str, Any] = {
    "/v1/jobs": {"prompt": "Why is the sky blue?"},
    "/v1/job-batches/{name}/limit": {"concurrent": 10},
    "/v1/job-batches/{name}/callback": {"url": "https://example.com/ended"},
    "/v1/responses": {"model": "ENDPOINT", "input": "Why is the sky blue?"},
    "/v1/chat/completions": {"model": "ENDPOINT", "messages": [{"role": "user", "content": "Why is the sky blue?"}]},
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>threadmill over HTTP</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
pre{{background:#8882;padding:.6rem;overflow-x:auto}}h3{{margin:1.5rem 0 0;font-size:1rem}}</style></head>
<body><h1>threadmill {version}</h1>
<p>{description} The whole description, for tools: <a href="{root}/openapi.json">openapi.json</a>.</p>
{routes}</body></html>
"""


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Returns the page. It loads nothing from elsewhere."""
    schema = request.app.openapi()
    root = str(request.base_url).rstrip("/")
    page = _PAGE.format(
        version=escape(schema["info"]["version"]),
        description=escape(schema["info"]["description"]),
        root=escape(root),
        routes="\n".join(_routes(schema["paths"], root)),
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})


def _routes(paths: Mapping[str, Any], root: str) -> Iterator[str]:
    shown_tag = None
    for path, methods in paths.items():
        for method, route in methods.items():
            if (tag := (route.get("tags") or [""])[0]) != shown_tag:
                shown_tag = tag
                yield f"<h2>{escape(tag)}</h2>"
            text = route.get("description", route["summary"])
            command = _command(method.upper(), root + path, "security" in route, _BODIES.get(path))
            yield f"<h3>{method.upper()} {escape(path)}</h3><p>{escape(text)}</p><pre>{escape(command)}</pre>"


def _command(method: str, url: str, needs_key: bool, body: Any) -> str:
    words = ["curl", "" if method == "GET" or (method == "POST" and body) else f"-X {method}", f"'{url}'"]
    if needs_key:
        words.append('-H "Authorization: Bearer $KEY"')
    if method == "POST" and body:
        words.append(f"--json '{json.dumps(body)}'")
    return " ".join(filter(None, words))
