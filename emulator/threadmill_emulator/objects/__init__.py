"""JSON objects and events of the API. For http/ and batches; imports responses/ and runs/."""
