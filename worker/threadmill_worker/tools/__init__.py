"""Tools that run here: functions, HTTP, MCP. For attempt/ and above; imports lifecycle/ and answer/."""
