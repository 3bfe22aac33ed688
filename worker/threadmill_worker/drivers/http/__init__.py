"""HTTP: clients, single calls, and limits of what a reply may hold. For all that call a server; imports replies/."""
