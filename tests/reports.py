"""Reports for tests."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from threadmill.job.result import Citation, Failure, FailureKind, Usage
from threadmill.reports.content.report import Report, Section

HOSTILE_NAME = "<b>*x*_[y](http://evil.example)|`q`\n# h \u202egpj.md"

HOSTILE = """<script>alert(1)</script>

# Mine is the page

<img src="https://evil.example/a.png" onerror="alert(1)"> and ![pixel](https://evil.example/pixel.png?q=secret)
![inline](data:image/svg+xml;base64,PHN2Zz4=) [click](javascript:alert(1))
[CLICK](JaVaScRiPt:alert(1)) <javascript:alert(2)>
[here](data:text/html,<script>alert(3)</script>) [entity](&#106;avascript:alert(4)) [up](#top) [ref][1]
`<i>code</i>` ` <u> \\` <s>

[1]: vbscript:alert(5) "<script>"

<style>body{display:none}</style>

a | b<br>c
--|--
` | <iframe src="https://evil.example">

Setext
======

<!-- and now nothing shows

```
never closed
"""

ANSWER = """## What happened

The freezer stood at -11 °C, see [the runbook](https://example.com/runbooks/%s/index.html).

| Shift | Units | Scrap | Remarks about it | Who | When | Where | Why |
|---|--:|--:|---|---|---|---|---|
| Early | 4,120 | 1.2 %% | belt changed | Chen | 06:40 | L3 | wear |

```python
def spec(value): return "a line of code that is much longer than any phone is wide, or any page" + str(value)
```
""" % ("a-very-long-path-" * 12)

CHINESE = "### 重點\n\n第三產線於早上更換皮帶,良率回升。" + "供應商承諾補交檢驗報告" * 30


def section(number: int, **fields: Any) -> Section:
    usage = Usage(prompt_tokens=900 + number, completion_tokens=100, total_tokens=1000 + number)
    name = f"line-{number}.md"
    given = {"name": name, "path": f"documents/{name}", "text": ANSWER, "usage": usage, "seconds": 1.5 + number}
    return Section(**{**given, **fields})


def failed(number: int, **fields: Any) -> Section:
    failure = Failure(kind=FailureKind.REJECTED, message="is empty")
    return section(number, **{"text": "", "failure": failure, "usage": Usage(), "seconds": 0.0, **fields})


def report(*sections: Section, **fields: Any) -> Report:
    given = {
        "name": "daily",
        "title": "The day in brief",
        "night": date(2026, 1, 15),
        "made_at": datetime(2026, 1, 16, 6, 0, tzinfo=ZoneInfo("Asia/Taipei")),
        "summary": "**Two things** need a decision.\n\n# Production\n\nBelow plan.",
        "sections": sections,
        "usage": sum((each.usage for each in sections), Usage()),
        "seconds": 75.3,
        "models": ("gpt-5-mini",),
    }
    return Report(**{**given, **fields})


def everything() -> Report:
    """Everything that is hard to render."""
    cited = (
        Citation(number=1, name="handbook.md", quote="Check the gasket"),
        Citation(number=2, name="<i>Wear</i>", url="https://example.com/a"),
        Citation(number=3, name="no page", url="javascript:alert(6)"),
    )
    return report(
        section(1),
        section(2, name="第三產線_早班交接紀錄與品質異常說明(最終版).txt", text=CHINESE, citations=cited),
        failed(3, name=HOSTILE_NAME, path=f"documents/{HOSTILE_NAME}"),
        section(4, text=HOSTILE, path="https://example.com/docs?a=1&b=2"),
        section(5, name="n" * 200, path="p" * 400),
        title="Lines & <plants>",
        cost=0.0312,
    )


SHAPES = {
    "everything": everything(),
    "nothing": report(),
    "all failed": report(failed(1), failed(2)),
    "200 documents": report(*(failed(n) if n % 40 == 0 else section(n) for n in range(1, 201))),
}
