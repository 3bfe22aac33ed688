"""Renders the statistics as a web page that reloads itself."""

from html import escape
from typing import Any

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="2">
<title>threadmill emulator</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
  h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
  table { border-collapse: collapse; width: 100%; }
  td { border-top: 1px solid #8884; padding: .2rem 0; }
  td + td { text-align: right; font-variant-numeric: tabular-nums; }
  :root { color-scheme: light dark; }
</style>
<h1>threadmill emulator</h1>
<p>A server of Assistants and Responses for tests: scripted runs, no model. The same as JSON:
<a href="/_stats?ids=1">/_stats</a>.</p>
"""


def render(counted: dict[str, Any]) -> str:
    return HEAD + "".join(_section(name, part) for name, part in counted.items()) + "</html>\n"


def _section(name: str, part: dict[str, Any]) -> str:
    rows = "".join(_row(key, value) for key, value in part.items()) or _row("none yet", "")
    return f"<h2>{escape(name.replace('_', ' '))}</h2>\n<table>{rows}</table>\n"


def _row(key: str, value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {number}" for name, number in value.items())
    elif isinstance(value, list):
        value = ", ".join(map(str, value))
    return f"<tr><td>{escape(key.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
