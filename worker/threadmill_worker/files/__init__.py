"""Files of jobs: those they attach, and those their runs make. For attempt/ and drivers/; imports no other room."""
