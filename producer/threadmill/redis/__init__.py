"""Redis itself: its URL, clients of it, what its errors mean. For settings/ and above; imports no other room."""
