"""The state of one emulator: all objects, and the operations on them. For http/; imports objects/ and below."""
