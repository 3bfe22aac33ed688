"""All that one emulator holds. For http/; imports objects/ and below."""
