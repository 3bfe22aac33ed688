"""Commands that set up and check endpoints, assistants, tools, services. For cli/; imports rendering/."""
