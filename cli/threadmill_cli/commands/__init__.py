"""The commands: a module or a room for each noun. For the entry point; imports all other rooms of threadmill_cli."""
