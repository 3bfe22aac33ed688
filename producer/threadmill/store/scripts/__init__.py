"""The Lua scripts that change records. For store/ and the worker; imports nothing of ours."""
