"""Redis, a worker and the emulator as child processes, for --local. For the entry point; imports only threadmill."""
