"""Document sets: from paths to documents, from documents to what is asked of them."""
