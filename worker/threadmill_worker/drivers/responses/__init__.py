"""The Responses API. Imports base/ and the rooms that all APIs share."""
