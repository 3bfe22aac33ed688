"""Redis, a worker and the emulator as child processes, for --local. For cli/; imports settings/ and store/."""
