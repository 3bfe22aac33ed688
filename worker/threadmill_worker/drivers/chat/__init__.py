"""Chat Completions. Imports streaming/ and the modules that all APIs share."""
