"""Everything as the complete objects and events of the API. For http/ and batches; imports responses/ and runs/."""
