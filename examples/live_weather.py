"""Text and tool calls as they come: the run is streamed, and followed while it goes on."""

from threadmill import Client, EventKind

handle = Client().enqueue({"prompt": "What is the weather like in Taipei?", "tools": ["query_weather"], "stream": True})
for event in handle.events(timeout_s=300):
    match event.kind:
        case EventKind.TEXT:
            print(event.text, end="", flush=True)
        case EventKind.TOOL_CALL:
            print(f"[{event.name} is called with {event.arguments}]")
        case EventKind.TOOL_OUTPUT:
            print(f"[it gave {event.output}]")
        case EventKind.STATE:
            print(f"[{event.state}]")
