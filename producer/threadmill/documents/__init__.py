"""Documents: finds them, extracts their text, renders their prompts. For batch/ and reports/."""
