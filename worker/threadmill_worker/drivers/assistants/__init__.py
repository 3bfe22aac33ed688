"""The Assistants API. Imports streaming/ and the modules that both APIs share."""
