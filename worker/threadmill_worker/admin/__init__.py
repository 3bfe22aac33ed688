"""Plain functions that call servers, for commands. For threadmill_cli; nothing of the worker imports it."""
