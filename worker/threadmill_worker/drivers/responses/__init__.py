"""The Responses API. Imports streaming/ and the modules that all APIs share."""
