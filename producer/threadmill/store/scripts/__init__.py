"""Each step that changes records, as a Lua script. For store/ and the worker; imports nothing of ours."""
