"""A worker's tools: functions, HTTP requests, MCP servers. For attempt/ and above; imports lifecycle/ and answer/."""
