"""A tool the platform runs: the model calls SEARCH with nested arguments, the worker passes them to the plugin API."""

from threadmill import Client

search = {
    "type": "function",
    "function": {
        "name": "SEARCH",
        "description": "Searches the company's documents.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {
                    "type": "object",
                    "properties": {
                        "keywords": {"type": "array", "items": {"type": "string"}},
                        "period": {
                            "type": "object",
                            "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
                        },
                    },
                    "required": ["keywords"],
                }
            },
            "required": ["query"],
        },
    },
}
handle = Client().enqueue({"prompt": "Which travel rules changed last year?", "tools": [search]})
print(handle.wait(timeout_s=300).text)
