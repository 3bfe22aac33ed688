"""Event streams of runs, of either API. For assistants/ and responses/, whose events it does not know."""
