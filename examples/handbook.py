"""Questions about a file: it is uploaded, made searchable, cited by name, and deleted."""

from threadmill import Client

handle = Client().enqueue(
    {
        "prompt": "How much may a meal cost on a journey?",
        "files": ["examples/files/travel-handbook.md"],
        "tools": [{"type": "file_search"}],
        "include_steps": True,
    }
)
result = handle.wait(timeout_s=300)
print(result.text)
for citation in result.citations:
    print(f"  [{citation.number}] {citation.name}: {citation.quote!r}")
