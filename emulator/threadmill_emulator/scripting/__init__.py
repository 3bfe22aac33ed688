"""The controls of the emulator: scenarios, faults, options. For storage/ and above; imports errors/."""
