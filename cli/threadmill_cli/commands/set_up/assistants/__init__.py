"""`threadmill assistants`. For the entry point."""
