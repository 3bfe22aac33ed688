"""The files that jobs attach, and the files that models make. For attempt/ and drivers/; imports no other room."""
