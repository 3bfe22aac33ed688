"""Commands that set up and check endpoints, assistants, tools, services. For the entry point; imports rendering/."""
