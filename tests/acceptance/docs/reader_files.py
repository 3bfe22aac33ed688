"""The files that the docs speak of, for a reader who tries their commands."""

import json
from pathlib import Path

_LETTER = "Monsieur le directeur, après réception de votre réponse, nous procédons à la clôture du dossier. " * 5
_CLAIMS = "id,what,amount,when\n1,a broken window,120,2026-11-01\n2,a lost parcel,45,2026-11-02\n"
_TOOLS = 'def weather(city: str) -> str:\n    """The weather in a city."""\n    return city\n'
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n"
)
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


def write_files(folder: Path) -> None:
    texts = {f"notes/note-{number}.md": f"# Note {number}\n\nPump {number} was replaced.\n" for number in range(1, 4)}
    texts |= {f"notes/2026-11-20/shift-{number}.md": f"Shift {number} was quiet.\n" for number in range(1, 3)}
    texts |= {f"{name}/one.txt": "The pump was replaced on Monday.\n" for name in ("claims", "mails", "reports/texts")}
    texts |= {"minutes/long.txt": "We decided to replace the pump. " * 4000, "contracts/a.md": "Signed by Li.\n"}
    texts |= {"claims.csv": _CLAIMS, "sales.csv": "month,sales\n1,20\n2,30\n", "prompt.txt": "Summarise:\n{{ text }}"}
    texts |= {"job.json": json.dumps({"prompt": "Hello"}), "letter.html.j2": "<p>{{ name }}: {{ text }}</p>\n"}
    texts |= {"readers_tools.py": _TOOLS}
    texts |= {"requests.jsonl": "".join(f"{json.dumps(_request(number))}\n" for number in range(3))}
    texts |= {"results.jsonl": "".join(f"{json.dumps(_result(number))}\n" for number in range(3))}
    for name, text in texts.items():
        _write(folder / name, text.encode())
    _write(folder / "letters" / "letter.txt", _LETTER.encode("cp1252"))
    for name in ("policy.pdf", "contract.pdf", "srv/documents/contract.pdf", "srv/shared/claim.pdf"):
        _write(folder / name, _PDF)
    for name in ("screen.png", "srv/shared/photo.jpg"):
        _write(folder / name, _PNG)
    _write(folder / "srv/shared/costs.csv", _CLAIMS.encode())


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _request(number: int) -> dict[str, object]:
    body = {"model": "emulator", "messages": [{"role": "user", "content": f"What is {number} + 1?"}], "max_tokens": 300}
    return {"custom_id": f"sum-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def _result(number: int) -> dict[str, object]:
    """As `threadmill batch --rows --id-column id --json-schema` writes it."""
    return {
        "path": f"claims.csv:{number + 2}",
        "name": f"claims.csv:{number + 2}",
        "id": str(number),
        "job_id": f"job-{number}",
        "state": "succeeded",
        "text": json.dumps({"amount": number, "who": {"name": "Li"}}),
        "parsed": {"amount": number, "who": {"name": "Li"}},
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
