"""The Assistants API. Imports streaming/ and the modules that all APIs share."""
