"""The commands: a module or a room for each noun. For the entry point; imports all other rooms of threadmill_cli.

Those that the help lists under Operate and under "Set up" are in rooms of these names.
"""
