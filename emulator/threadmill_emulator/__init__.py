"""An emulated Assistants server: the real wire format, scripted runs, and faults on demand."""
