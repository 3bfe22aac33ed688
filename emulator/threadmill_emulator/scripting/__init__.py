"""How a test controls the emulator: scenarios, faults, options. For storage/ and above; imports errors/."""
