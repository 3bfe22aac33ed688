"""Chat Completions. Imports base/ and the rooms that all APIs share."""
