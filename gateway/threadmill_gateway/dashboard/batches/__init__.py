"""The pages of batches: the list, one batch with its documents, one result beside its source, and an export."""
