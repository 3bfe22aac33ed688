"""The bodies that clients may send, as strict models. For storage/ and above; imports no other room."""
